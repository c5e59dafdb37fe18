import { nearest } from '../source/suggestion.ts';

/** The names of common services in conditions on ports, most of them as in IANA's registry. */
const SERVICE_PORTS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    ftp: 21,
    ssh: 22,
    telnet: 23,
    smtp: 25,
    whois: 43,
    dns: 53,
    domain: 53,
    http: 80,
    kerberos: 88,
    pop3: 110,
    nntp: 119,
    ntp: 123,
    imap: 143,
    snmp: 161,
    ldap: 389,
    https: 443,
    smb: 445,
    smtps: 465,
    submissions: 465,
    syslog: 514,
    submission: 587,
    ldaps: 636,
    'dns-over-tls': 853,
    rsync: 873,
    ftps: 990,
    imaps: 993,
    pop3s: 995,
    socks: 1080,
    openvpn: 1194,
    'ms-sql': 1433,
    mqtt: 1883,
    nfs: 2049,
    mysql: 3306,
    rdp: 3389,
    stun: 3478,
    svn: 3690,
    sip: 5060,
    sips: 5061,
    'xmpp-client': 5222,
    'xmpp-server': 5269,
    postgresql: 5432,
    amqps: 5671,
    amqp: 5672,
    vnc: 5900,
    redis: 6379,
    irc: 6667,
    ircs: 6697,
    'http-alt': 8080,
    'https-alt': 8443,
    mqtts: 8883,
    git: 9418,
    memcached: 11_211,
    mongodb: 27_017,
    wireguard: 51_820,
  }),
);

export function portOf(service: string): number | undefined {
  return SERVICE_PORTS.get(service.toLowerCase());
}

/** The service that was probably meant. */
export function nearestService(written: string): string | undefined {
  return nearest(written, [...SERVICE_PORTS.keys()]);
}
