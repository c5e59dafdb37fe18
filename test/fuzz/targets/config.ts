import { parseConfig } from '../../../src/config/load.ts';
import { formatProblems } from '../../../src/config/source/problem.ts';
import { keeps, utf8, words } from '../target.ts';
import type { Target } from '../target.ts';

/**
 * Values that must not appear in a message: secrets, one of which is quoted when displayed, and control
 * characters.
 */
const ENVIRONMENT = {
  SECRET: 'Zq7hunterZq7',
  QUOTED: 'Kx4"hunter\\Kx4',
  LONG: 'Wv2hunter'.repeat(12),
  CONTROLS: 'Jy9\u001B[31m\n\r\u202EJy9',
  NET: '10.0.0.0/8',
  PORT: '1080',
};
/** How each would begin in a message. */
const SECRETS = { SECRET: /Zq7hu/, QUOTED: /Kx4.{1,2}hu/, LONG: /Wv2hu/, CONTROLS: /Jy9/ };

const WORDS = [
  'listen address protocols methods proxy-protocol from udp ports advertise replies users file password',
  'accept name allow rules deny to user port source-port protocol method when days hours zone limit sessions',
  'rate bandwidth quota-per-user duration idle log revoke resolve servers family timeout timeouts handshake',
  'limits connections per-address unauthenticated engine health run-as level format state upstreams routes',
  'any public self metadata loopback 127.0.0.1:1080 [::1]:1080 unix:/tmp/s 10.0.0.0/8 ::1 .example.com 80',
  '8000-8999 10MB 10MiB/s 10GB/day 5/s 1h 500ms 60:30:100 mon-fri 08:00-18:00 Europe/Oslo socks5 none true',
  'null 0x10 1e3 .inf 2020-01-01 : { } [ ] , &a *a <<: !!set !!binary ? # |\n >-\n ---\n \' " \\u0000 ${',
  '://u:p@ \u2028 \u202E \u009B \uFEFF',
];
/** Tokens that contain blanks. */
const PHRASES = ['\n  - ', ': ', '{ ', ', ', '\n', '\r\n', '\t', '%YAML 1.1\n'];

export const targets: readonly Target[] = [
  {
    name: 'config',
    testRuns: 1000,
    seeds: [
      '',
      'listen: [{ address: 127.0.0.1:1080 }]\n',
      'listen:\n  - { address: 10.0.3.1:1080, protocols: [socks5, socks4], methods: [password, none] }\n',
      'listen:\n  - address: 10.0.3.1:1080\n    proxy-protocol: { from: [10.0.0.2] }\n',
      'listen: [{ address: :1, udp: { ports: 4000-4999, advertise: { "::/0": ::1 }, replies: any } }]\n',
      'users: { file: users.txt }\naccept:\n  - { name: a, allow: true, from: ["${NET}"], methods: [none] }\n',
      'rules:\n  - { name: no, deny: any, to: [metadata, .internal] }\n  - { name: b, allow: any, to: any }\n',
      'rules:\n  - name: a\n    allow: connect\n    user: [alice, "@staff"]\n    to: [any]\n    port: [80, 8000-8999]\n',
      'rules: [{ name: a, when: { days: mon-fri, hours: "08:00-18:00", zone: Europe/Oslo } }]\n',
      'rules: [{ name: a, limit: { sessions: 9, rate: 5/s, bandwidth: 1MB/s, quota-per-user: 1GB/day } }]\n',
      'resolve: { servers: [10.0.0.53:53], family: any, timeout: 5s }\nhealth: 127.0.0.1:9080\n',
      'timeouts: { handshake: 15s, bind: 2m, half-close: 5m }\nengine: auto\nrun-as: nobody\nrevoke: close\n',
      'limits: { connections: 9, unauthenticated: 60:30:100 }\nlog: { level: info, to: { file: x } }\n',
      'listen: &l [{ address: "127.0.0.1:${PORT}" }]\nrules: [{ to: [any, "${SECRET}"] }, *l]\n',
      'upstreams: { p: "socks5h://a:${QUOTED}@h:1" }\nusers: { password: ${CONTROLS} }\nrules: ["${LONG}"]\n',
    ].map(utf8),
    tokens: [
      ...words(...WORDS),
      ...[...PHRASES, ...Object.keys(ENVIRONMENT).map((name) => `"\${${name}}"`)].map(utf8),
    ],
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
      for (const [name, value] of Object.entries(SECRETS)) {
        keeps(`a message does not show ${name}`, value.test(text) || !value.test(said), () => said);
      }
      return `${errors.length === 0} ${warnings.length > 0}`;
    },
  },
];
