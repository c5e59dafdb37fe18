import { parseConfig } from '../../../src/config/load.ts';
import { formatProblems } from '../../../src/config/problem.ts';
import { keeps, utf8 } from '../target.ts';
import type { Target } from '../target.ts';

/** Values that would do harm in a message: secrets, one of them quoted when shown, and a terminal's controls. */
const ENVIRONMENT = {
  SECRET: 'Zq7hunterZq7',
  QUOTED: 'Kx4"hunter\\Kx4',
  LONG: 'Wv2hunter'.repeat(12),
  CONTROLS: 'Jy9\u001B[31m\n\r\u202EJy9',
  NET: '10.0.0.0/8',
  PORT: '1080',
};
const SECRETS = ['Zq7hu', 'Kx4"hu', 'Kx4\\"hu', 'Wv2hu', 'Jy9'];

const KEYS =
  'listen address protocols methods proxy-protocol from tls udp ports advertise replies users file username password accept name allow rules deny to user port source-port protocol method when days hours zone limit sessions rate bandwidth quota-per-user duration idle log revoke resolve servers family timeout timeouts handshake limits connections per-address unauthenticated engine health run-as level format state';
const VALUES =
  'any public self metadata loopback 127.0.0.1:1080 [::1]:1080 unix:/tmp/s 10.0.0.0/8 ::1 .example.com example.com 80 8000-8999 10MB 10MiB/s 5/s 1h 500ms 60:30:100 mon-fri 08:00-18:00 Europe/Oslo socks5 none password true null 0x10 1e3 .inf 2020-01-01';

export const targets: readonly Target[] = [
  {
    name: 'config',
    seeds: [
      '',
      'listen: [{ address: 127.0.0.1:1080 }]\n',
      `listen:
  - address: 10.0.3.1:1080
    protocols: [socks5, socks4]
    methods: [password, none]
    proxy-protocol: { from: [10.0.0.2] }
    udp: { ports: 40000-40999, advertise: { "198.51.100.0/24": 203.0.113.10 }, replies: peers }
users: { username: alice, password: "\${SECRET}" }
accept:
  - { name: inside, allow: true, from: [10.0.0.0/8], methods: [password] }
rules:
  - { name: no-metadata, deny: any, to: [metadata, .internal] }
  - name: web
    allow: connect
    from: ["\${NET}"]
    user: [alice, "@staff"]
    to: [any]
    port: [80, 8000-8999]
    when: { days: mon-fri, hours: "08:00-18:00", zone: Europe/Oslo }
    limit: { sessions: 1000, rate: 50/s, bandwidth: 100MB/s, quota-per-user: 10GB/day, duration: 8h }
    log: [connect, disconnect, error]
`,
      `resolve: { servers: [10.0.0.53:53], family: any, timeout: 5s }
timeouts: { handshake: 15s, connect: 30s, bind: 2m, idle: 2h, half-close: 5m, udp-idle: 3m, drain: 30s }
limits: { connections: 10000, per-address: 500, unauthenticated: 60:30:100 }
engine: auto
revoke: close
health: 127.0.0.1:9080
run-as: nobody
log: { level: info, format: text, to: stderr }
`,
      'listen: &l [{ address: "127.0.0.1:${PORT}" }]\nrules: [{ name: a, allow: any, to: [any, "${SECRET}"] }, *l]\n',
      'upstreams: { p: "socks5h://a:${QUOTED}@h:1" }\nusers: { password: ${CONTROLS} }\nrules: ["${LONG}", {name: "x${LONG}"}]\n',
    ].map(utf8),
    tokens: [
      ...`${KEYS} ${VALUES}`.split(' '),
      ...Object.keys(ENVIRONMENT).map((name) => `"\${${name}}"`),
      ...[
        '\n  - ',
        '\n',
        ': ',
        '{ ',
        ' }',
        '[',
        ']',
        ', ',
        '&a ',
        '*a',
        '<<: ',
        '!!set ',
        '|\n  ',
        '>-\n  ',
        '---\n',
        '# ',
      ],
      ...[
        '\t',
        "'",
        '"',
        '\\u0000',
        '\r\n',
        '\u2028',
        '? ',
        '%YAML 1.1\n',
        '${',
        '://u:p@',
        '!!binary ',
        '\uFEFF',
      ],
    ].map(utf8),
    run(input) {
      const text = Buffer.from(input).toString();
      const { settings, errors, warnings } = parseConfig(text, 'garter.yaml', {}, ENVIRONMENT);
      keeps('there are settings or errors', (settings === undefined) === errors.length > 0);
      const lines = text.split('\n');
      for (const { where, line, column } of [...errors, ...warnings]) {
        keeps('a problem has a file', where === 'garter.yaml', () => where);
        if (line === undefined || column === undefined) continue;
        const width = lines[line - 1]?.length ?? -1;
        keeps('a problem is in the text', column >= 1 && column <= width + 1, () => `${line}:${column}`);
      }
      const said = formatProblems(errors, 'error') + formatProblems(warnings, 'warning');
      keeps('a message has no controls', !/[^\P{C}\n]/u.test(said), () => JSON.stringify(said));
      for (const secret of SECRETS) {
        keeps('a message has no secret', text.includes(secret) || !said.includes(secret), () => said);
      }
      return `${errors.length === 0} ${warnings.length > 0}`;
    },
  },
];
