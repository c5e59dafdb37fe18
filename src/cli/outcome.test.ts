import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { cert, key } from '../../test/support/certificate.ts';
import { prepare, run } from '../../test/support/check.ts';
import { address, response, startNameServer } from '../../test/support/name-server.ts';

const FRIDAY = '--at 2026-11-20T10:00+01:00';

const ENCRYPTED = `listen:
  - { address: "10.0.3.1:1443", protocols: [socks5, socks4, http], tls: { cert: c.pem, key: c.key, client-ca: c.pem }, METHODS }
  - { address: "127.0.0.1:1080", methods: [password, none] }
USERS
rules:
  - { name: routers, allow: connect, user: router-7, to: [192.0.2.0/24], method: certificate }
  - { name: staff, allow: connect, user: alice, to: [any, reserved], protocol: http }
`;

/** Methods of the listener with TLS, whether there are users, the question, the method, and the last line. */
const CERTIFIED: readonly (readonly [string, boolean, string, string, string])[] = [
  ['certificate', false, '--user router-7', 'certificate router-7', 'allowed'],
  ['certificate', false, '--user router-7 --protocol http', 'certificate router-7', 'allowed'],
  [
    'certificate',
    false,
    '--user router-7 --protocol socks4 --method certificate',
    'certificate router-7',
    'allowed',
  ],
  ['certificate', false, '', '', 'refused: the client offers none, the server takes certificate only'],
  [
    'certificate',
    false,
    '--user @staff',
    '',
    'refused: the name in the certificate begins with "@", which marks a group',
  ],
  ['certificate', true, '--user alice --protocol http', 'certificate alice @staff @dev', 'allowed'],
  ['certificate', true, '--user router-7', '', 'refused: there is no user router-7'],
  ['certificate', true, '--user carol', '', 'refused: the last day of carol was 2026-11-19'],
  ['certificate, password', true, '--user alice --protocol http', 'certificate alice @staff @dev', 'allowed'],
  [
    'certificate, password',
    true,
    '--user alice --protocol http --method password',
    'password alice @staff @dev',
    'allowed',
  ],
  ['password', true, '--user alice --protocol http', 'password alice @staff @dev', 'allowed'],
  [
    'password',
    true,
    '--user alice --method certificate',
    '',
    'refused: the client offers certificate and none, the server takes password only',
  ],
  ['none', true, '--user alice --method certificate', 'none', 'refused: no rule allows 192.0.2.1'],
  [
    'certificate',
    true,
    '--user alice --method certificate --listener 127.0.0.1:1080',
    'none',
    'refused: no rule allows 192.0.2.1',
  ],
];

test('a certificate identifies its user', async () => {
  for (const [methods, hasUsers, line, method, end] of CERTIFIED) {
    await using prepared = await prepare(
      ENCRYPTED.replace('METHODS', `methods: [${methods}]`).replace(
        'USERS',
        hasUsers ? 'users: { file: users.txt }' : '',
      ),
    );
    await writeFile(join(prepared.path, 'c.pem'), cert);
    await writeFile(join(prepared.path, 'c.key'), key, { mode: 0o600 });
    const question = `FILE --from 10.0.0.5 --to 192.0.2.1:443 ${FRIDAY} ${line}`;
    const { status, out } = await run(question, prepared.file);
    assert.equal(/^ {2}method {4}(.*)$/m.exec(out)?.[1] ?? '', method, question);
    assert.equal(out.trimEnd().split('\n').at(-1), end, question);
    assert.equal(status, end === 'allowed' ? 0 : 1, question);
  }
});

const ROUTED = `rules: [{ name: all, allow: any, to: [any, reserved] }]
routes:
  - { to: [.web.example], via: "http://10.0.3.1:8080" }
  - { to: [.old.example], via: "socks4a://10.0.3.1:1080" }
  - { to: [.safe.example], via: safe }
  - { to: [any], via: all }
upstreams:
  safe: socks5h+tls://10.0.3.2:1080
  all: { servers: ["http://10.0.3.1:8080", "socks5h://10.0.3.3:1080"] }
`;

/** Command, destination, and the last line. */
const WAYS: readonly (readonly [string, string, string])[] = [
  ['connect', 'a.web.example:80', 'allowed'],
  ['bind', 'a.web.example:80', 'refused: http://10.0.3.1:8080 cannot carry bind'],
  ['bind', 'a.old.example:80', 'allowed'],
  ['resolve', 'a.old.example', 'refused: socks4a://10.0.3.1:1080 cannot carry resolve'],
  ['resolve', '192.0.2.1', 'allowed'],
  [
    'udp',
    'a.safe.example:53',
    'refused: safe is reached by encrypted links, and datagrams are not encrypted: udp: clear lets them',
  ],
  ['udp', 'a.example:53', 'allowed'],
];

test('what a route cannot carry', async () => {
  await using prepared = await prepare(ROUTED);
  for (const [command, to, end] of WAYS) {
    const { out, err } = await run(`FILE --from 127.0.0.1 --command ${command} --to ${to}`, prepared.file);
    assert.equal(out.trimEnd().split('\n').at(-1), end, `${command} ${to}: ${err}`);
  }
});

/** Rules, destination, the line about the route, and the last line. */
const LOCAL: readonly (readonly [string, string, string | undefined, string])[] = [
  ['any, loopback', 'localhost:80', undefined, 'refused: no rule allows it'],
  ['any, loopback', 'A.Localhost.:80', undefined, 'refused: no rule allows it'],
  [
    'localhost',
    'LOCALHOST.:80',
    'rest (FILE:4): socks5h://10.0.3.3:1080, which resolves the name',
    'allowed',
  ],
  [
    '.localhost',
    'a.localhost:80',
    'rest (FILE:4): socks5h://10.0.3.3:1080, which resolves the name',
    'allowed',
  ],
  [
    'any',
    'localhost.localdomain:80',
    'rest (FILE:4): socks5h://10.0.3.3:1080, which resolves the name',
    'allowed',
  ],
  ['loopback', 'localhost:81', 'here (FILE:3): direct', 'allowed'],
  ['any', 'localhost:81', undefined, 'refused: no rule allows ::1'],
];

test('localhost is loopback, and passed on only where it is named', async () => {
  for (const [to, destination, route, end] of LOCAL) {
    await using prepared = await prepare(`rules: [{ allow: any, to: [${to}] }]
routes:
  - { name: here, to: [loopback], port: 81, via: direct }
  - { name: rest, to: [any], via: "socks5h://10.0.3.3:1080" }
`);
    const { out, err } = await run(`FILE --from 127.0.0.1 --to ${destination}`, prepared.file);
    assert.equal(/^ {2}route {5}(.*)$/m.exec(out)?.[1], route, `${to} ${destination}: ${err}${out}`);
    assert.match(out.trimEnd().split('\n').at(-1)!, new RegExp(`^${end.replace('::1', '(::1|127.0.0.1)')}$`));
  }
});

/** The destination, as its name servers know it, and the line about the route. */
const RESOLVERS: readonly (readonly [string, string])[] = [
  [
    'a.far.example:80 --address 192.0.2.1',
    'route-1 (FILE:3): socks4a://10.0.3.1:1080, which resolves the name',
  ],
  ['a.example:80 --address 192.0.2.1', 'route-2 (FILE:4): socks4a://10.0.3.2:1080'],
  ['192.0.2.1:80', 'route-2 (FILE:4): socks4a://10.0.3.2:1080'],
  ['b.far.example:443 --address 192.0.2.1', 'route-3 (FILE:5): socks4a://10.0.3.3:1080'],
];

test('the upstream resolves a name, unless the route was found by address or has resolve: here', async () => {
  await using prepared = await prepare(`rules: [{ name: all, allow: any, to: [any, reserved] }]
routes:
  - { to: [.far.example], port: 80, via: "socks4a://10.0.3.1:1080" }
  - { to: [192.0.2.0/24], port: 80, via: "socks4a://10.0.3.2:1080" }
  - { to: [any], via: "socks4a://10.0.3.3:1080", resolve: here }
`);
  for (const [to, route] of RESOLVERS) {
    const { out, err } = await run(`FILE --from 127.0.0.1 --to ${to}`, prepared.file);
    assert.equal(/^ {2}route {5}(.*)$/m.exec(out)?.[1], route, `${to}: ${err}${out}`);
  }
});

test('a name is resolved by the name servers of its route, and the first address with a route counts', async () => {
  await using names = await startNameServer((asked) => [
    response(asked, {
      answers: asked.type === 'A' ? ['198.51.100.1', '192.0.2.1'].map((ip) => address(asked.name, ip)) : [],
    }),
  ]);
  const servers = `["127.0.0.1:${names.endpoint.port}"]`;
  await using prepared = await prepare(`rules: [{ name: all, allow: any, to: [any, reserved] }]
resolve: { servers: ["127.0.0.1:1"], timeout: 1s }
routes:
  - { to: [192.0.2.0/24], via: direct }
  - { to: [.near.example], via: direct, dns: ${servers}, port: 80 }
`);
  const { out, err } = await run('FILE --from 127.0.0.1 --to a.near.example:80', prepared.file);
  assert.match(out, /^ {2}address {3}.*198\.51\.100\.1/m, err);
  const two = '--address 198.51.100.1 --address 192.0.2.1';
  const other = await run(`FILE --from 127.0.0.1 --to b.example:80 ${two}`, prepared.file);
  assert.match(other.out, /^ {2}route {5}route-1 /m, other.err);
});

/** The outcome for own ports and unnamed peers: configuration, question, and the last lines. */
const AS_THE_SERVER: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'health: 127.0.0.1:29080\nrules: [{ allow: any, to: [loopback] }]',
    '--to 127.0.0.1:29080',
    ['  reply     2', '  record    policy:request:own-port', "refused: it is one of garter's own ports"],
  ],
  [
    'rules: [{ name: ftp, allow: bind, to: [192.0.2.0/24] }]',
    '--command bind --to 0.0.0.0:0',
    ['  rule      ftp (FILE:1)', '  route     direct', '  reply     0', 'allowed'],
  ],
  [
    'rules: [{ name: ftp, allow: bind, to: [192.0.2.0/24] }]',
    '--command bind --to [::]:0 --protocol socks4',
    ['  rule      ftp (FILE:1)', '  route     direct', '  reply     90', 'allowed'],
  ],
  [
    'rules: [{ name: ftp, allow: bind, to: [192.0.2.0/24] }]',
    '--command udp --to 0.0.0.0:0',
    [
      '  rule      no rule matches',
      '  nearly    ftp (FILE:1): the command udp is not in [bind]',
      '  reply     2',
      '  record    policy:request:no-rule',
      'refused: no rule allows it',
    ],
  ],
  [
    'rules: [{ name: all, allow: udp, to: [loopback] }]',
    '--command udp --to 127.0.0.1:0',
    ['  reply     0, and its datagrams are dropped', 'refused: nobody receives datagrams at port 0'],
  ],
  [
    'rules: [{ name: all, allow: udp, to: [loopback] }]',
    '--command udp --to a..example:53',
    ['  reply     0, and its datagrams are dropped', 'refused: a..example is not a host name'],
  ],
  [
    'rules: [{ name: all, allow: udp, to: [any] }]',
    '--command udp --to a.invalid:53',
    ['  reply     0, and its datagrams are dropped', 'allowed, once the name resolves'],
  ],
  [
    'listen: [{ address: "127.0.0.1:1080", udp: { declared-port: require } }]',
    '--command udp --to 0.0.0.0:0',
    [
      '  reply     2',
      '  record    policy:request:declared-port',
      'refused: the client has to say which port it will send from',
    ],
  ],
  [
    'listen: [{ address: "127.0.0.1:1080", protocols: [http], methods: [none] }]',
    '--protocol http --user alice --method password --to 127.0.0.1:80',
    [
      '  method    none',
      '  rule      default-loopback',
      '  route     direct',
      '  reply     200, once it is reached',
      'allowed',
    ],
  ],
  [
    'routes: [{ name: web, to: [any], port: 443, via: direct }, { to: [private], user: bob, via: direct }]',
    '--to 8.8.8.8:80',
    [
      '  nearly    web (FILE:1): port 80 is not in [443]',
      '  reply     2',
      '  record    policy:request:no-route',
      'refused: no route leads there',
    ],
  ],
  [
    'routes: [{ to: [any], via: "socks4a://10.0.3.1:1080" }]',
    '--to [2606:4700::1]:80',
    [
      '  reply     8',
      '  record    upstream:dial:address-type',
      'refused: SOCKS4 has no room for IPv6 addresses',
    ],
  ],
  [
    'log: { level: info }',
    '--command bind --protocol socks4 --to [::1]:80',
    [
      '  reply     91',
      '  record    target:bind:address-type',
      'refused: SOCKS4 has no room for IPv6 addresses',
    ],
  ],
  [
    'log: { level: info }',
    '--command resolve --protocol socks4 --to [::1]',
    [
      '  reply     91',
      '  record    target:resolve:ENOTFOUND',
      'refused: SOCKS4 has no room for IPv6 addresses',
    ],
  ],
];

test('the same steps as the server: own ports, and what has no destination yet', async () => {
  for (const [config, question, end] of AS_THE_SERVER) {
    await using prepared = await prepare(`${config}\n`);
    const { out, err } = await run(`FILE --from 127.0.0.1 ${question}`, prepared.file);
    assert.deepEqual(out.trimEnd().split('\n').slice(-end.length), end, `${question}: ${err}`);
  }
});
