import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { makeDirectory } from '../../test/support/directory.ts';
import { loadConfig, parseConfig, settingsFromFlags, settingsFromObject } from './load.ts';
import type { Loaded } from './load.ts';
import { formatProblems } from './source/problem.ts';
import { formatListenAddress } from '../server/listen/listeners.ts';

function messages({ errors }: Loaded): string[] {
  return errors.map(
    ({ where, line, column, message }) => [where, line, column].filter(Boolean).join(':') + ` ${message}`,
  );
}

test('a file that cannot be read says why', async () => {
  await using directory = await makeDirectory();
  const file = join(directory.path, 'garter.yaml');
  assert.deepEqual(messages(loadConfig(file, {}, {})), [`${file} there is no such file`]);

  const rows = [
    [Buffer.alloc(11 * 1024 * 1024, 'a\n'), `${file} the file is longer than 10 MiB`],
    [Buffer.from('\uFEFFrules: []\n', 'utf16le'), `${file}:1:1 the file is not UTF-8 text`],
    [Buffer.from('rules: []\n# na\xEFve\n', 'latin1'), `${file}:2:5 the file is not UTF-8 text`],
    [
      Buffer.concat([Buffer.from('# \uFFFD\nå: '), Buffer.of(0xff)]),
      `${file}:2:4 the file is not UTF-8 text`,
    ],
    ['', `${file} the configuration is empty`],
    [`rules: ${'['.repeat(2000)}`, `${file}:1 YAML: nested too deeply`],
  ] as const;
  for (const [content, message] of rows) {
    await writeFile(file, content);
    const [first = ''] = messages(loadConfig(file, {}, {}));
    assert.equal(message.includes('nested') ? first.replace(/:1:\d+/, ':1') : first, message);
  }

  await mkdir(join(directory.path, 'folder'));
  assert.match(messages(loadConfig(join(directory.path, 'folder'), {}, {}))[0]!, /this is a directory$/);
});

test('a byte order mark and CRLF make no difference', () => {
  const { settings, errors } = parseConfig(
    '\uFEFFlisten:\r\n  - address: 127.0.0.1:1\r\nrules: []\r\n',
    'garter.yaml',
    {},
    {},
  );
  assert.deepEqual(errors, []);
  assert.deepEqual(settings?.listeners[0]?.address, { host: '127.0.0.1', port: 1 });
});

test('relative paths are relative to the file', () => {
  const { settings } = parseConfig(
    'users: { file: u.txt }\nlog: { to: { file: /var/log/g } }',
    '/etc/garter/garter.yaml',
    {},
    {},
  );
  assert.equal(settings?.users?.file, resolve('/etc/garter/u.txt'));
  assert.deepEqual(settings?.log.to, [{ file: resolve('/var/log/g') }]);
});

function denying(prefix: number): string {
  const networks = Array.from({ length: 100_000 }, (_, i) => `10.${(i >> 8) & 255}.${i & 255}.0/${prefix}`);
  return `rules:\n  - deny: any\n    to:\n      - ${networks.join('\n      - ')}\n`;
}

test('lists of 100,000 load, and of as many mistakes only the first are shown', () => {
  assert.equal(parseConfig(denying(24), 'garter.yaml', {}, {}).settings?.policy.rules[0]?.to.length, 100_000);
  const { errors } = parseConfig(denying(8), 'garter.yaml', {}, {});
  assert.equal(errors.length, 1000);
  assert.match(formatProblems(errors, 'error'), /and more\n$/);
});

test('aliases that add without end are stopped', () => {
  const layers = Array.from(
    { length: 12 },
    (_, i) => `l${i + 1}: &l${i + 1} [${Array(12).fill(`*l${i}`).join(', ')}]\n`,
  );
  const found = messages(parseConfig(`l0: &l0 [x]\n${layers.join('')}`, 'garter.yaml', {}, {}));
  assert(
    found.some((message) => message.includes('aliases expand to more than')),
    found.join('\n'),
  );
});

test('keys with a special meaning in JavaScript are unknown keys', () => {
  for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    assert.deepEqual(messages(parseConfig(`${key}: { file: x }`, 'g', {}, {})), [
      `g:1:1 there is no key "${key}" here`,
    ]);
    assert.deepEqual(messages(parseConfig(`users: { file: x, ${key}: 1 }`, 'g', {}, {})), [
      `g:1:19 there is no key "${key}" here`,
    ]);
  }
});

test('a missing interface is a warning, as it may appear later', () => {
  const [lo, garter0] = ['lo', 'garter0'].map((name) =>
    parseConfig(`listen: [{ address: 127.0.0.1:1080, interface: ${name} }]`, 'g', {}, {}),
  );
  assert.deepEqual(lo!.warnings, []);
  const { settings, errors, warnings } = garter0!;
  assert.deepEqual(errors, []);
  assert.deepEqual(
    warnings.map(({ line, column, message }) => [line, column, message]),
    [[1, 48, 'there is no interface garter0: no client can connect until there is']],
  );
  assert.equal(settings?.listeners[0]?.interface, 'garter0');
});

test('flags and variables without a file', () => {
  const flags = { listen: ['127.0.0.1:1081', '[::1]:1081'], logLevel: 'debug', engine: 'portable' };
  const { settings, warnings } = settingsFromFlags(flags, {
    GARTER_LISTEN: '127.0.0.1:9',
    GARTER_USERS: 'u.txt',
  });
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    settings?.listeners.map(({ address, methods }) => [formatListenAddress(address), ...methods]),
    [
      ['127.0.0.1:1081', 'password'],
      ['[::1]:1081', 'password'],
    ],
  );
  assert.deepEqual(settings?.users, { file: resolve('u.txt') });
  assert.equal(settings?.log.level, 'debug');
  assert.equal(settings?.engine, 'portable');
  assert.equal(settingsFromFlags({}, { GARTER_ENGINE: 'fast' }).settings?.engine, 'fast');
  assert.deepEqual(
    settings?.policy.rules.map(({ name, from, to }) => [name, from, to]),
    [
      ['default-loopback', ['loopback'], ['any', 'loopback', 'self']],
      ['default', undefined, ['any']],
    ],
  );

  const single = settingsFromFlags(
    {},
    { GARTER_LISTEN: '0.0.0.0:1080, [::]:1081', GARTER_USER: 'alice', GARTER_PASSWORD: 'hunter2' },
  );
  assert.equal(single.settings?.listeners.length, 2);
  assert.deepEqual(single.settings?.users, { single: { username: 'alice', password: 'hunter2' } });

  const plain = settingsFromFlags({}, { GARTER_LISTEN: '', GARTER_USER: '' });
  assert.deepEqual(plain.settings?.listeners[0]?.address, { host: '127.0.0.1', port: 1080 });
  assert.deepEqual(plain.settings?.listeners[0]?.methods, ['none']);
});

test('variables for containers, and those that are unknown', () => {
  const loaded = settingsFromFlags(
    {},
    {
      GARTER_USER: 'alice',
      GARTER_PASSWORD_FILE: import.meta.filename,
      GARTER_HEALTH: '127.0.0.1:9080',
      GARTER_LOG_FORMAT: 'json',
      GARTER_LISTENS: '1',
      GARTER_X: '1',
      GARTER: '1',
    },
  );
  // This file contains no secret, and others can read it.
  assert.deepEqual(messages(loaded), [
    `GARTER_PASSWORD_FILE others can read or write ${import.meta.filename}`,
  ]);
  assert.deepEqual(
    loaded.warnings.map(({ where, remedy }) => [where, remedy]),
    [
      ['GARTER_LISTENS', 'did you mean GARTER_LISTEN?'],
      ['GARTER_X', 'see garter serve --help, or remove it'],
    ],
  );
  const { settings: plain } = settingsFromFlags(
    {},
    { GARTER_HEALTH: '127.0.0.1:9080', GARTER_LOG_FORMAT: 'json' },
  );
  assert.deepEqual(plain?.health, { host: '127.0.0.1', port: 9080 });
  assert.equal(plain?.log.format, 'json');
});

test('mistakes in flags and variables are reported with their position', () => {
  const rows = [
    [{ listen: ['0.0.0.0:1080'] }, {}, '--listen others can reach 0.0.0.0:1080, which asks for no password'],
    [
      {},
      { GARTER_LISTEN: '0.0.0.0:1080' },
      'GARTER_LISTEN others can reach 0.0.0.0:1080, which asks for no password',
    ],
    [{ listen: ['1080'] }, {}, '--listen "1080" is not an address with a port'],
    [{ listen: [] }, {}, '--listen there is no listener'],
    [{ logLevel: 'loud' }, {}, '--log-level "loud" is not a valid value'],
    [{ users: '' }, {}, '--users "" is not text'],
    [{}, { GARTER_USER: 'alice' }, 'GARTER_USER a user with a name but no password'],
    [{}, { GARTER_PASSWORD: 'hunter2' }, 'GARTER_PASSWORD a user with a password but no name'],
    [
      {},
      { GARTER_USER: 'a', GARTER_PASSWORD: 'x'.repeat(256) },
      'GARTER_PASSWORD the password is longer than 255 bytes',
    ],
  ] as const;
  for (const [flags, environment, message] of rows)
    assert.deepEqual(messages(settingsFromFlags(flags, environment)), [message]);
  const [problem] = settingsFromFlags({ listen: ['0.0.0.0:1080'] }, {}).errors;
  assert.match(problem!.remedy, /^give --users FILE, or GARTER_USER and GARTER_PASSWORD/);
});

test('flags and variables take precedence over the file, key by key', () => {
  const text =
    'listen: [{ address: 127.0.0.1:1 }]\nusers: { file: u.txt }\nlog: { level: warn, format: json }\n';
  const { settings } = parseConfig(
    text,
    '/etc/g.yaml',
    { listen: ['127.0.0.1:2'], logLevel: 'debug' },
    { GARTER_USER: 'a', GARTER_PASSWORD: 'b' },
  );
  assert.deepEqual(
    settings?.listeners.map(({ address }) => formatListenAddress(address)),
    ['127.0.0.1:2'],
  );
  assert.deepEqual(settings?.users, {
    file: resolve('/etc/u.txt'),
    single: { username: 'a', password: 'b' },
  });
  assert.deepEqual(settings?.log, { level: 'debug', format: 'json', to: ['stderr'] });
  assert.deepEqual(messages(parseConfig('users: none\n', 'g', {}, { GARTER_USERS: 'u.txt' })), [
    'g:1:8 "none" is not a mapping of keys and values',
  ]);
});

test('in a JavaScript object, positions are paths', () => {
  const config = {
    listen: [{ address: '127.0.0.1:0', udp: { advertise: { '10.0.0.1/8': 'x' } } }],
    rules: [{ allow: 'any', to: ['10.0.0.1/8'] }],
  };
  assert.deepEqual(messages(settingsFromObject(config, false)), [
    'listen[0].udp.advertise["10.0.0.1/8"] "10.0.0.1/8" is not a network',
    'rules[0].to[0] "10.0.0.1/8" is not a destination',
  ]);
  assert.deepEqual(messages(settingsFromObject(null, false)), ['configuration the configuration is empty']);
  assert.deepEqual(messages(settingsFromObject({ decide: () => true }, false)), [
    'decide there is no key "decide" here',
  ]);
  const { settings } = settingsFromObject(
    { listen: [{ address: '127.0.0.1:0', udp: undefined }], users: undefined },
    true,
  );
  assert.deepEqual(settings?.listeners[0]?.methods, ['password']);
});

test('a password in an object or variable is in no problem', () => {
  for (const users of [
    { name: 'a', password: 'hunter2', x: 1 },
    { password: 'hunter2' },
    { name: 7, password: ['hunter2'] },
  ]) {
    const { errors, warnings } = settingsFromObject(
      { users, rules: [{ allow: 'any', to: 'http://u:hunter2@h/' }] },
      false,
    );
    assert(errors.length > 1);
    assert.doesNotMatch(JSON.stringify([errors, warnings]), /hunter2/);
  }
});

test('whatever a file contains, there are settings or errors', () => {
  const words = [
    'listen',
    'rules',
    'users',
    'accept',
    'log',
    'to',
    'allow',
    'deny',
    'any',
    'password',
    'address',
    '127.0.0.1:1',
    '10.0.0.0/8',
  ];
  const marks = [
    ':',
    ': ',
    '- ',
    '\n',
    '\n  ',
    '\n    ',
    '[',
    ']',
    '{',
    '}',
    ', ',
    '"',
    "'",
    '&a ',
    '*a',
    '!x ',
    '? ',
    '| ',
    '${A}',
    '${',
    '#',
    '\t',
    '---\n',
    '%',
    '\0',
    '\uD800',
    '0',
    'null',
  ];
  const piece = fc.oneof(
    fc.constantFrom(...words),
    fc.constantFrom(...marks),
    fc.string({ maxLength: 3, unit: 'binary' }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const { settings, errors, warnings } = parseConfig(pieces.join(''), 'garter.yaml', {}, { A: 'x' });
      assert.notEqual(settings === undefined, errors.length === 0);
      formatProblems([...errors, ...warnings], 'error');
    }),
    { numRuns: 500 },
  );
});

test('whatever an object contains, there are settings or errors', () => {
  const keys = fc.constantFrom(
    'listen',
    'users',
    'accept',
    'rules',
    'resolve',
    'timeouts',
    'log',
    'engine',
    'workers',
    'revoke',
    'x',
  );
  fc.assert(
    fc.property(fc.dictionary(keys, fc.anything()), (config) => {
      const { settings, errors } = settingsFromObject(config, false);
      assert.notEqual(settings === undefined, errors.length === 0);
    }),
    { numRuns: 500 },
  );
});
