import type { BindConfig, ListenerConfig, ProxyProtocolConfig, UdpConfig } from '../input/listeners.ts';
import type { AcceptConfig, RuleConfig, RuleLimitsConfig, WhenConfig } from '../input/rules.ts';
import type {
  ConnectionLimitsConfig,
  FileConfig,
  LogConfig,
  ResolveConfig,
  TimeoutsConfig,
  UsersConfig,
} from '../input/server-config.ts';
import type { Level } from '../../audit/log.ts';
import type { LogKind, Method, Protocol } from '../../policy/policy.ts';
import type { Family } from '../../resolve/resolver.ts';
import type { ResolveOrder, Settings } from '../../server/settings.ts';
import type { WithFiles } from './conditions.ts';
import { controlSocket, healthAddress, listenAddress } from './listen-address.ts';
import { logPlace } from './log-place.ts';
import { nameServer } from './name-server.ts';
import { route, upstream } from './routes.ts';
import { listenerTls } from './tls.ts';
import { choice, keyed, keys, list, optional, plain, standsFor, value } from './value.ts';
import type { Schema } from './value.ts';
import { ValueError, quote } from '../source/value-error.ts';
import * as condition from './conditions.ts';
import * as leaf from './scalars.ts';
import type {
  Sections,
  Lists,
  LogSection,
  Users,
  LimitsSection,
  ListenerSection,
  ProxyProtocolSection,
  BindSection,
  UdpSection,
  AcceptSection,
  RuleSection,
  WhenSection,
  RuleLimitsSection,
  Revoke,
  ResolveSection,
  TimeoutsSection,
} from './sections.ts';

const protocol = choice<Protocol>(['socks5', 'socks4', 'http'], ['socks6']);
const method = choice<Method>(['password', 'certificate', 'none']);
const revoke = choice<Revoke>(['close', 'keep']);

const advertise = optional(
  keyed(leaf.network, leaf.advertisedHost, '{ "198.51.100.0/24": 203.0.113.10 }'),
  'The address announced to clients, or a name that is resolved for each request, by client network. Default: the one that the TCP connection reached.',
);

const listener = keys<ListenerSection, ListenerConfig>('{ address: 127.0.0.1:1080 }', {
  name: optional(leaf.label, 'For `listener` in rules and routes. Default: these use its address.'),
  address: listenAddress.describe(
    'host:port, "[v6]:port", or interface:port for each address of the interface; unix:/path; systemd or systemd:NAME ' +
      'for the sockets that systemd passes. Port 0 takes any free port.',
  ),
  mode: optional(leaf.mode, 'The file mode of a unix socket: who may connect. Default: 0660.'),
  interface: optional(
    leaf.interfaceName,
    'Accept only connections that arrive on this network interface. Needs the fast engine.',
  ),
  protocols: optional(list(protocol), 'Recognised by their first byte. Default: [socks5, socks4].'),
  methods: optional(
    list(method),
    'Authentication methods, in order of preference. Default: [certificate] with client-ca, [password] if there are users, otherwise [none].',
  ),
  tls: optional(listenerTls, 'TLS 1.3 on the whole connection.'),
  'proxy-protocol': optional(
    keys<ProxyProtocolSection, ProxyProtocolConfig>('{ from: [10.0.0.2] }', {
      from: list(condition.fromCondition, {
        example: 'from: [ … ] with the addresses of the balancers',
      }).describe('The balancers: CIDRs, addresses and sets.'),
    }),
    'The PROXY protocol, versions 1 and 2: these peers must send a header, and no others may.',
  ),
  udp: optional(
    keys<UdpSection, UdpConfig>('{ ports: 40000-40999 }', {
      port: optional(
        leaf.portNumber,
        "One port for all clients' datagrams, which can be the listener's own number. It needs a single thread.",
      ),
      ports: optional(condition.ports, "Ports for clients' datagrams. Default: any free port."),
      advertise,
      replies: optional(
        choice(['peers', 'any']),
        'Whose datagrams are passed back: only from an address and port already sent to (peers, the default), or from anyone.',
      ),
      'declared-port': optional(
        choice(['require', 'hint']),
        'The port that a client says it will send from: clients must declare it and send from there (require), or NAT may change it (hint, the default).',
      ),
    }),
    'UDP ASSOCIATE.',
  ),
  bind: optional(
    keys<BindSection, BindConfig>('{ ports: 41000-41999 }', {
      ports: optional(condition.ports, 'Ports where peers are awaited. Default: any free port.'),
      advertise,
    }),
    'BIND.',
  ),
  resolve: optional(
    choice<ResolveOrder>(['ipv4-first', 'system']),
    'Which address of a name RESOLVE returns: an IPv4 address if there is one (ipv4-first, the default), or the first by RFC 6724 (system).',
  ),
});

const acceptRule = keys<WithFiles<AcceptSection>, AcceptConfig>(
  '{ name: inside, allow: true, from: [10.0.0.0/8] }',
  {
    name: optional(leaf.label, 'For records and messages. Default: accept-1, accept-2, …'),
    allow: leaf.truth('allow').describe('true accepts the connection, false closes it.'),
    listener: optional(list(condition.listenerRef), 'Listeners, by name or address. Default: all.'),
    from: optional(list(condition.fromEntry), 'CIDRs, addresses and sets. Default: everyone.'),
    methods: optional(list(method), "Authentication methods instead of the listener's."),
  },
);

const rule = keys<WithFiles<RuleSection>, RuleConfig>(
  '{ name: web, allow: connect, to: [any], port: [80, 443] }',
  {
    name: optional(leaf.label, 'For records and messages. Default: rule-1, rule-2, …'),
    allow: optional(list(leaf.command), 'The commands that this rule allows.'),
    deny: optional(list(leaf.command), 'The commands that this rule refuses.'),
    listener: optional(list(condition.listenerRef), 'Listeners, by name or address. Default: all.'),
    from: optional(list(condition.fromEntry), 'Clients: CIDRs, addresses and sets. Default: all.'),
    user: optional(
      list(condition.userEntry),
      'Authenticated user names, and "@group" for groups of the users file. Default: all, including anonymous clients.',
    ),
    to: list(condition.toEntry, { example: 'to: [any], or the destinations you mean' }).describe(
      'Destinations: CIDR, address, name, .suffix (including the name itself), or a set: any, public, private, loopback, ' +
        'link-local, multicast, self, metadata, reserved. In an allowing rule, any and public do not include the last six: name these explicitly.',
    ),
    port: optional(list(condition.portEntry), 'Ports of the destination. Default: all.'),
    'source-port': optional(list(condition.ports), 'Ports that the client comes from. Default: all.'),
    protocol: optional(list(protocol), 'Default: all.'),
    method: optional(
      list(method),
      'The method that an allowing rule demands; a client that used another one is refused, and no further rule is tried.',
    ),
    when: optional(
      keys<WhenSection, WhenConfig>('{ days: mon-fri, hours: "08:00-18:00", zone: Europe/Oslo }', {
        days: optional(list(leaf.days), 'Default: every day.'),
        hours: optional(
          leaf.hours,
          'If the end is before the start, the range runs past midnight. Default: all day.',
        ),
        zone: optional(leaf.zone, "An IANA time zone. Default: this machine's."),
      }),
      'The days and hours at which this rule applies.',
    ),
    limit: optional(
      keys<RuleLimitsSection, RuleLimitsConfig>('{ sessions: 1000, sessions-per-user: 20 }', {
        sessions: optional(leaf.count, 'Concurrent sessions of this rule.'),
        'sessions-per-user': optional(leaf.count, 'Concurrent sessions per user.'),
        'sessions-per-address': optional(leaf.count, 'Concurrent sessions per client address.'),
        rate: optional(leaf.rate, 'New sessions of this rule.'),
        'rate-per-address': optional(leaf.rate, 'New sessions per client address.'),
        bandwidth: optional(
          leaf.bandwidth,
          'Bytes in each direction, for all sessions of this rule together.',
        ),
        'bandwidth-per-session': optional(leaf.bandwidth, 'Bytes in each direction, for each session.'),
        'quota-per-user': optional(
          leaf.quota,
          'Bytes per user and day (UTC), both directions together; kept in the file named by state.',
        ),
        duration: optional(leaf.time, 'How long a session may last.'),
        idle: optional(leaf.time, 'How long a session may be idle. Default: timeouts.idle.'),
      }),
      'A request beyond a limit is refused; it never falls through to the next rule.',
    ),
    log: optional(
      list(choice<LogKind>(['connect', 'disconnect', 'error']), { least: 0 }),
      'What to record of each session. Default: [disconnect, error], one record per session; [] records nothing.',
    ),
    revoke: optional(
      revoke,
      'What happens to open sessions when the rule no longer applies. Default: the top-level revoke.',
    ),
  },
).meta({ oneOf: [{ required: ['allow'] }, { required: ['deny'] }] });

type Given<T> = Exclude<T, undefined>;
type Entry<T> = T extends readonly (infer E)[] ? E : never;

/** The entry schema of each section that is a list. */
export const lists: { readonly [K in keyof Lists]: Schema<Lists[K], Entry<FileConfig[K]>> } = {
  listen: standsFor('address', listener).describe('A listener, or only its address.'),
  accept: acceptRule.describe(
    'An accept rule, applied before any byte is read: the first match decides; if none matches, the connection is closed.',
  ),
  rules: rule.describe(
    'A rule for requests: the first match decides; if none matches, the request is refused.',
  ),
  routes: route.describe(
    'A route: the first match decides; if none matches, the request is refused. Without routes everything leaves directly.',
  ),
};

/** The list that may be written as a single entry, without brackets. */
export const ALONE_LIST = 'listen' as const;

/** The schema of every other section. */
export const sections: {
  readonly [K in Exclude<keyof FileConfig, keyof Lists>]: Schema<Sections[K], Given<FileConfig[K]>>;
} = {
  users: keys<Users, UsersConfig>('{ file: users.txt }', {
    file: optional(
      leaf.path,
      'A users file, created with `garter user add NAME --file FILE`; reloaded when it changes. Only its owner may be able to write it.',
    ),
    name: optional(leaf.userName, 'A single user without a users file.'),
    password: optional(leaf.secret, 'Its password: "${NAME}" from the environment, or { file: path }.'),
  }).describe('Who may log in with a password.'),
  upstreams: keyed(leaf.label, upstream, '{ p1: socks5h://10.0.3.1:1080 }').describe(
    'Other proxy servers, by name, for use in routes.',
  ),
  resolve: keys<Partial<ResolveSection>, ResolveConfig>(
    '{ servers: [10.0.0.53], family: any, timeout: 5s }',
    {
      servers: optional(
        list(nameServer),
        "Name servers, in the order in which they are asked: addresses, tls://ADDRESS or https://ADDRESS/PATH. Default: the system's.",
      ),
      hosts: optional(
        keyed(leaf.hostName, list(leaf.literal), '{ db.internal: 10.0.0.7 }'),
        'Addresses of names, in place of those of the name servers.',
      ),
      family: optional(
        choice<Family>(['any', 'prefer-ipv4', 'ipv4', 'ipv6']),
        'Which destination addresses to use, or to try first. Default: any.',
      ),
      timeout: optional(leaf.time, 'Total time for resolving a name. Default: 5s.'),
    },
  ).describe('Name resolution.'),
  nat64: list(leaf.nat64, { example: 'nat64: [64:ff9b::/96], or leave the key out' }).describe(
    'The prefixes of the NAT64 of this network: addresses in them stand for the IPv4 address inside, in allowing rules too.',
  ),
  timeouts: keys<TimeoutsSection, TimeoutsConfig>('{ handshake: 15s, idle: 2h }', {
    handshake: optional(leaf.time, 'Total time from connection to request. Default: 15s.'),
    connect: optional(
      leaf.time,
      'From the request to the connection with the destination, including name resolution. Default: 30s.',
    ),
    bind: optional(leaf.time, 'How long BIND waits for its connection. Default: 2m.'),
    idle: optional(leaf.time, 'Without a byte in either direction. Default: 2h.'),
    'half-close': optional(leaf.time, 'After one side has ended. Default: 5m.'),
    'udp-idle': optional(leaf.time, 'Without a datagram in either direction. Default: 3m.'),
    drain: optional(leaf.time, 'For open sessions when garter shuts down. Default: 30s.'),
  }).describe('How long to wait.'),
  log: keys<LogSection, LogConfig>('{ level: info, format: text, to: stderr }', {
    level: optional(choice<Level>(['error', 'warn', 'info', 'debug']), 'Default: info.'),
    format: optional(choice(['text', 'json']), 'Default: text.'),
    to: optional(
      list(logPlace),
      'stderr (the default), stdout, { file: path } or { syslog: udp://127.0.0.1:514 }, tcp://… or local; or several.',
    ),
    interim: optional(
      leaf.time,
      'How often a session that lasts is recorded before its end. Default: never.',
    ),
    errors: optional(
      list(logPlace),
      'Where warnings and errors are written as well: places like those of to.',
    ),
  }).describe('Log lines and records.'),
  limits: keys<LimitsSection, ConnectionLimitsConfig>(
    '{ connections: 10000, per-address: 500, unauthenticated: 60:30:100 }',
    {
      connections: optional(
        leaf.count,
        'Concurrent client connections. Default: 10000, or fewer if descriptors are short.',
      ),
      'per-address': optional(
        leaf.count,
        'Concurrent client connections per address (IPv6: /64). Default: no limit.',
      ),
      unauthenticated: optional(
        leaf.startups,
        "Connections that have not made their request yet, like OpenSSH's MaxStartups. Default: 500:30:1000.",
      ),
      memory: optional(
        leaf.size,
        'Resident memory beyond which new connections are refused, UDP destinations forgotten, and the sessions that hold the most ended. Default: 80 % of the memory of the machine or container.',
      ),
    },
  ).describe('Limits on connections, before their requests are known.'),
  state: leaf.path.describe('The file in which quotas survive a restart.'),
  health: healthAddress.describe('host:port of an HTTP server for GET /healthz and /readyz. Default: none.'),
  pac: leaf.truth('pac').describe('Serve GET /proxy.pac to browsers on this machine. Default: false.'),
  'run-as': leaf.userName.describe(
    'The user to switch to once the listeners are bound, when started as root.',
  ),
  'pid-file': leaf.path.describe(
    'The file that contains the process id while garter runs, for init scripts; a stale one is replaced.',
  ),
  control: controlSocket.describe(
    'unix:/path of the socket for garter status, garter reload and the like, or off. Default: control.sock in the runtime directory of the service or beside state.',
  ),
  revoke: revoke.describe(
    'What happens to open sessions when their rule no longer applies: close (the default) or keep.',
  ),
  engine: choice(['auto', 'fast', 'portable']).describe('Which implementation of sockets. Default: auto.'),
  workers: value<Settings['workers'], 'auto' | number>(
    { anyOf: [{ enum: ['auto'] }, { type: 'integer', minimum: 1 }] },
    (input) => {
      if (input === 'auto') return 'auto';
      const number = /^\d{1,3}$/.test(plain(input)) ? Number(input) : 0;
      if (number > 0) return number;
      throw new ValueError(`${quote(input)} is not a number of threads`, 'write workers: auto, or a number');
    },
  ).describe('Threads of the fast engine. Default: auto, one per core.'),
};
