import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { prepare, run } from '../../test/support/check.ts';

const CONFIG = `listen:
  - { address: "127.0.3.1:1080", methods: [password, none] }
  - { address: 127.0.0.1:1081, protocols: socks5, methods: none }
users: { file: users.txt }
accept:
  - { name: guests, allow: true, from: [10.9.0.0/16], methods: [none] }
  - { name: inside, allow: true, from: [10.0.0.0/8, loopback] }
rules:
  - { name: no-metadata, deny: any, to: [metadata, .internal] }
  - name: web
    allow: connect
    user: [bob, "@staff"]
    to: [any, reserved]
    port: [80, 443]
    when: { days: mon-fri, hours: "08:00-18:00", zone: Europe/Oslo }
  - { name: secure, allow: connect, to: [192.0.2.0/24], port: 22, method: password }
  - { name: udp, allow: [udp, resolve], to: [.example.com, public, reserved] }
`;

test('a valid file', async () => {
  await using prepared = await prepare(CONFIG);
  const { status, out, err } = await run('FILE', prepared.file);
  assert.equal(err, '');
  assert.equal(out, 'FILE is fine: 2 listeners, 2 accept rules, 4 rules\n');
  assert.equal(status, 0);

  assert.deepEqual(await run('--config FILE', prepared.file), { status, out, err });

  await using plain = await prepare('log: { level: warn }\n');
  assert.equal(
    (await run('FILE', plain.file)).out,
    'FILE is fine: 1 listener, no accept rules, the built-in rules\n',
  );
});

test('a file with mistakes, and one with warnings', async () => {
  await using wrong = await prepare('listen: [{ adress: 127.0.0.1:1080 }]\nworkers: none\n');
  const { status, out, err } = await run('FILE', wrong.file);
  assert.deepEqual([status, out], [2, '']);
  assert.match(
    err,
    /^FILE:1:12: error: there is no key "adress" here\n.*\n.*\^{6}\n {4}did you mean address\?\nFILE:2:10: error: "none" is not a number of threads/,
  );

  await using doubtful = await prepare(
    'users: { file: users.txt }\nrules:\n  - { allow: any, user: ["@crew", dave, alice], to: any }\n',
  );
  const warned = await run('FILE', doubtful.file);
  assert.equal(warned.status, 0);
  assert.equal(
    warned.err,
    'FILE:3: warning: there is no user in the group @crew\n    garter user add NAME --group crew\n' +
      'FILE:3: warning: there is no user dave\n    garter user add dave\n',
  );
});

test('an unusable users file', async () => {
  await using prepared = await prepare(CONFIG);
  const users = join(prepared.path, 'users.txt');
  await writeFile(users, 'alice:hunter2\n');
  const bad = await run('FILE', prepared.file);
  assert.deepEqual([bad.status, bad.out], [2, '']);
  assert(bad.err.startsWith(`${users}:1:7: `), bad.err);
  assert.doesNotMatch(bad.err, /hunter2/);
  await rm(users);
  const missing = await run('FILE', prepared.file);
  assert.equal(missing.status, 2);
  assert.equal(
    missing.err,
    `FILE:4:16: error: there is no file ${users}\n    4 | users: { file: users.txt }\n      |                ^^^^^^^^^\n    garter user add NAME --file ${users} creates it\n`,
  );
});

const FRIDAY = '--at 2026-11-20T10:00+01:00';

/** A question, the exit status, and the lines after the headline. */
const ANSWERS: readonly (readonly [string, number, readonly string[]])[] = [
  [
    `--from 10.0.0.5 --user alice --to www.example.com:443 --address 192.0.2.1 --address 127.0.0.1 ${FRIDAY}`,
    0,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    inside (FILE:7)',
      '  method    password alice @staff @dev',
      '  address   192.0.2.1 127.0.0.1',
      '  rule      web (FILE:10)',
      '  dial      192.0.2.1',
      '  route     direct',
      '  reply     0, once it is reached',
      'allowed',
    ],
  ],
  [
    '--from 10.0.0.5 --user alice --to 192.0.2.1:443 --at 2026-11-21T10:00Z',
    1,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    inside (FILE:7)',
      '  method    password alice @staff @dev',
      '  rule      no rule matches',
      '  nearly    web (FILE:10): it is Sat 11:00 in Europe/Oslo, not mon-fri 08:00-18:00',
      '  nearly    secure (FILE:16): port 443 is not in [22]',
      '  nearly    udp (FILE:17): the command connect is not in [udp, resolve]',
      '  reply     2',
      '  record    policy:request:no-rule',
      'refused: no rule allows 192.0.2.1',
    ],
  ],
  [
    `--from 10.0.0.5 --user bob --to [::ffff:169.254.169.254]:80 ${FRIDAY}`,
    1,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    inside (FILE:7)',
      '  method    password bob',
      '  rule      no-metadata (FILE:9)',
      '  reply     2',
      '  record    policy:request:rule',
      'refused: the rule denies 169.254.169.254',
    ],
  ],
  [
    `--from 10.0.0.5 --to DB.internal.:22 ${FRIDAY}`,
    1,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    inside (FILE:7)',
      '  method    none',
      '  rule      no-metadata (FILE:9)',
      '  reply     2',
      '  record    policy:request:rule',
      'refused: the rule denies it',
    ],
  ],
  [
    `--from 10.0.0.5 --to 192.0.2.1:22 ${FRIDAY}`,
    1,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    inside (FILE:7)',
      '  method    none',
      '  rule      secure (FILE:16)',
      '  reply     2',
      '  record    policy:request:method',
      'refused: the rule demands password, the client used none',
    ],
  ],
  [
    // A name that must not be sent to a name server.
    `--from [::1]:40000 --listener 127.0.0.1:1081 --to any.invalid:53 --command udp ${FRIDAY}`,
    1,
    [
      '  listener  127.0.0.1:1081 (FILE:3)',
      '  accept    inside (FILE:7)',
      '  method    none',
      '  address   any.invalid does not resolve here (ENOTFOUND): judged by its name alone',
      '  rule      no rule matches',
      '  nearly    udp (FILE:17): any.invalid is not resolved here, so its addresses cannot match [.example.com, public, reserved]',
      '  reply     0, and its datagrams are dropped',
      'refused: no rule allows it',
    ],
  ],
  [
    `--from 10.0.0.5 --user carol --to 192.0.2.1:443 ${FRIDAY}`,
    1,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    inside (FILE:7)',
      '  record    policy:auth:expired',
      'refused: the last day of carol was 2026-11-19',
    ],
  ],
  [
    `--from 10.0.0.5 --user erin --to 192.0.2.1:443 ${FRIDAY}`,
    1,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    inside (FILE:7)',
      '  record    policy:auth:disabled',
      'refused: erin is disabled in the users file',
    ],
  ],
  [
    `--from 10.0.0.5 --user mallory --to 192.0.2.1:443 ${FRIDAY}`,
    1,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    inside (FILE:7)',
      '  record    policy:auth:wrong',
      'refused: there is no user mallory',
    ],
  ],
  [
    `--from 203.0.113.5 --to 192.0.2.1:443 ${FRIDAY}`,
    1,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    no rule matches',
      '  record    policy:accept:no-rule',
      'refused: the connection is closed before anything is read',
    ],
  ],
  [
    `--from 10.9.0.5 --user bob --method password --to 192.0.2.1:443 ${FRIDAY}`,
    1,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    guests (FILE:6)',
      '  record    policy:greeting:no-method',
      'refused: the client offers password, the server takes none only',
    ],
  ],
  [
    `--from 10.0.0.5 --to 127.0.3.1:1080 ${FRIDAY}`,
    1,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    inside (FILE:7)',
      '  method    none',
      '  reply     2',
      '  record    policy:request:own-port',
      "refused: it is one of garter's own ports",
    ],
  ],
  [
    `--from 127.0.0.1 --listener 127.0.0.1:1081 --protocol socks4 --to 192.0.2.1:443 ${FRIDAY}`,
    1,
    [
      '  listener  127.0.0.1:1081 (FILE:3)',
      '  accept    inside (FILE:7)',
      '  record    client:greeting:ERR_SOCKS_VERSION',
      'refused: the listener does not take socks4',
    ],
  ],
  [
    `--from 10.0.0.5 --to 127.1:443 ${FRIDAY}`,
    1,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    inside (FILE:7)',
      '  method    none',
      '  reply     2',
      '  record    policy:request:numeric-name',
      'refused: what 127.1 means differs from program to program',
    ],
  ],
  [
    `--from 10.0.0.5 --to www.example.com --command resolve --address 198.51.100.7 ${FRIDAY}`,
    0,
    [
      '  listener  127.0.3.1:1080 (FILE:2)',
      '  accept    inside (FILE:7)',
      '  method    none',
      '  address   198.51.100.7',
      '  rule      udp (FILE:17)',
      '  dial      198.51.100.7',
      '  route     direct',
      '  reply     0',
      'allowed',
    ],
  ],
];

test('the decision of the rules, and their positions', async () => {
  await using prepared = await prepare(CONFIG);
  for (const [line, status, lines] of ANSWERS) {
    const outcome = await run(`FILE ${line}`, prepared.file);
    const [, ...said] = outcome.out.trimEnd().split('\n');
    assert.deepEqual(said, lines, line);
    assert.deepEqual([outcome.status, outcome.err], [status, ''], line);
  }
});

test('the headline repeats the question, the time in UTC', async () => {
  await using prepared = await prepare(CONFIG);
  const rows = [
    [
      `--from 10.0.0.5 --user alice --to a.example:443 ${FRIDAY}`,
      'connect from 10.0.0.5:49152 as alice to a.example:443 by socks5 at 2026-11-20T09:00:00Z',
    ],
    [
      '--from [::1]:1 --to [2001:db8::1]:80 --command bind --protocol socks4 --at 2026-11-20T10:00:30Z',
      'bind from [::1]:1 to [2001:db8::1]:80 by socks4 at 2026-11-20T10:00:30Z',
    ],
  ] as const;
  for (const [line, headline] of rows)
    assert.equal((await run(`FILE ${line}`, prepared.file)).out.split('\n')[0], headline);
  // Without a zone, local time counts.
  const { out } = await run('FILE --from ::1 --to 192.0.2.1:80 --at 2026-11-20T10:00', prepared.file);
  const local = new Date(2026, 10, 20, 10).toISOString().replace('.000', '');
  assert(out.split('\n')[0]!.endsWith(` at ${local}`), out);
});

test('a group that ends in direct', async () => {
  await using prepared = await prepare(`routes: [{ name: way, to: [any], via: office }]
upstreams: { office: { servers: ["socks5h://10.0.3.1:1080", "http://10.0.3.2:8080", direct] } }
`);
  const ask = 'FILE --from 127.0.0.1 --address 93.184.216.34 --to www.example.com:443';
  for (const command of ['connect', 'udp', 'bind']) {
    const { out } = await run(`${ask} --command ${command}`, prepared.file);
    assert.match(out, /^ {2}dial {6}93\.184\.216\.34$/m, 'the name is resolved here');
    const route =
      'way \\(FILE:1\\): office \\(order: socks5h://10.0.3.1:1080 \\| http://10.0.3.2:8080, else direct\\)';
    assert.match(out, new RegExp(`^  route     ${route}$`, 'm'));
  }
});

test('a name that no route can match is not looked up', async () => {
  await using prepared = await prepare(`routes:
  - { to: [.example.org], via: direct }
  - { to: [private], port: 8080, via: direct }
  - { to: [203.0.113.0/24], from: [192.0.2.1], via: direct }
`);
  const ask = 'FILE --from 127.0.0.1 --address 10.0.0.1 --to www.example.com';
  const { out } = await run(`${ask}:443`, prepared.file);
  assert.doesNotMatch(out, /^ {2}address/m);
  assert.match(out, /reply {5}2\n {2}record {4}policy:request:no-route\nrefused: no route leads there\n$/);
  assert.match((await run(`${ask}:8080`, prepared.file)).out, /^ {2}address {3}10\.0\.0\.1$/m);
});

test('a name that does not resolve is decided by name', async () => {
  await using prepared = await prepare('rules: [{ name: all, allow: any, to: any }]\n');
  const { status, out } = await run('FILE --from 127.0.0.1 --to www.invalid:80', prepared.file);
  assert.equal(status, 0);
  assert.match(
    out,
    /\(ENOTFOUND\): judged by its name alone\n {2}rule {6}all \(FILE:1\)\n {2}route {5}direct\n {2}reply {5}4\n {2}record {4}target:resolve:ENOTFOUND\nallowed, once the name resolves\n$/,
  );
});

test('the variables that serve reads are applied', async () => {
  await using prepared = await prepare(
    'rules: [{ name: mine, allow: any, user: eve, to: [any, reserved] }]\n',
  );
  const env = { GARTER_LISTEN: '0.0.0.0:1080', GARTER_USER: 'eve', GARTER_PASSWORD: 'hunter2' };
  const { status, out } = await run('FILE --from 10.0.0.5 --user eve --to 192.0.2.1:80', prepared.file, env);
  assert.equal(status, 0);
  assert.match(
    out,
    /listener {2}0\.0\.0\.0:1080\n {2}accept {4}everyone: there are no accept rules\n {2}method {4}password eve\n/,
  );
  assert.doesNotMatch(out, /hunter2/);
});

test('usage errors say what to write', async () => {
  await using prepared = await prepare(CONFIG);
  const rows = [
    ['', /give one configuration file/],
    ['FILE FILE', /give one configuration file/],
    ['--config FILE FILE', /give one configuration file/],
    ['FILE --bogus', /--bogus/],
    ['FILE --from 10.0.0.5', /--from ADDRESS and --to HOST:PORT/],
    ['FILE --user alice', /--from ADDRESS and --to HOST:PORT/],
    ['FILE --from example.com --to a:1', /--from example.com: write an address/],
    ['FILE --from 10.0.0.5:99999 --to a:1', /write an address/],
    ['FILE --from 10.0.0.5 --to a', /write a name or an address and a port/],
    ['FILE --from 10.0.0.5 --to a:65536', /write a name or an address and a port/],
    ['FILE --from 10.0.0.5 --to ::1:80', /write a name or an address and a port/],
    ['FILE --from 10.0.0.5 --to a:1 --command listen', /connect, bind, udp, resolve/],
    ['FILE --from 10.0.0.5 --to a:1 --method password', /--user NAME/],
    ['FILE --from 10.0.0.5 --to a:1 --method certificate', /--method certificate needs --user NAME/],
    ['FILE --from 10.0.0.5 --to a:1 --method none --user alice', /does not go with --user/],
    ['FILE --from 10.0.0.5 --to a:1 --method gssapi', /password, certificate, none/],
    ['FILE --from 10.0.0.5 --to a:1 --protocol socks4 --user alice', /SOCKS4 has no passwords/],
    ['FILE --from 10.0.0.5 --to a:1 --protocol socks4 --command udp', /SOCKS4 has no UDP/],
    ['FILE --from 10.0.0.5 --to a:1 --protocol http --command bind', /HTTP has CONNECT only/],
    ['FILE --from 10.0.0.5 --to a:1 --protocol socks6', /socks5, socks4, http/],
    ['FILE --from 10.0.0.5 --to a:1 --at tomorrow', /write a time/],
    ['FILE --from 10.0.0.5 --to a:1 --at 2026-13-01T10:00', /write a time/],
    ['FILE --from 10.0.0.5 --to a:1 --address b', /write an address/],
    [
      'FILE --from 10.0.0.5 --to a:1 --listener 127.0.3.1',
      /write one of 127\.0\.3\.1:1080, 127\.0\.0\.1:1081/,
    ],
  ] as const;
  for (const [line, message] of rows) {
    const { status, out, err } = await run(line, prepared.file);
    assert.deepEqual([status, out], [2, ''], line);
    assert.match(err, message);
    assert.match(err, /^garter check: .*; see garter check --help\n$/);
  }
});

test('help has an example', async () => {
  const { status, out } = await run('--help', 'garter.yml');
  assert.equal(status, 0);
  assert.match(out, /^Usage: garter check FILE\n[^]*\nExample: garter check /);
});
