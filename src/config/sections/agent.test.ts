import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeDirectory } from '../../../test/support/directory.ts';
import type { UpstreamOptions } from '../../route/options.ts';
import { formatListenAddress } from '../../server/listen/listeners.ts';
import type { Settings } from '../../server/settings.ts';
import type { AgentFlags } from './agent.ts';
import type { Environment } from '../source/environment.ts';
import { agentSettings } from '../load.ts';

const ONE = 'socks5h://proxy.example:1080';

/** The settings for these inputs, asserting that there are no problems. */
function settingsOf(flags: AgentFlags, environment: Environment = {}, file?: string): Settings {
  const { settings, errors, warnings } = agentSettings(file, flags, environment);
  assert.deepEqual([...errors, ...warnings], []);
  return settings!;
}

function wayOf({ routes }: Settings): UpstreamOptions {
  const via = routes?.at(-1)?.via;
  assert.ok(via !== undefined && via !== 'direct');
  return via;
}

/** The errors for these inputs, as `where message`. */
function faultsOf(flags: AgentFlags, environment: Environment = {}, file?: string): string[] {
  const { settings, errors } = agentSettings(file, flags, environment);
  assert.equal(settings, undefined);
  return errors.map(({ where, message }) => `${where}: ${message}`);
}

test('the defaults of an agent: this machine only, silent, one thread', () => {
  const settings = settingsOf({ upstream: [ONE] });
  assert.deepEqual(
    settings.listeners.map(({ address, pac }) => [formatListenAddress(address), pac]),
    [['127.0.0.1:1080', undefined]],
  );
  assert.deepEqual(
    settings.policy.rules.map(({ from, to, log }) => [from, to, log]),
    [
      [['loopback'], ['any', 'loopback', 'self'], []],
      [undefined, ['any'], []],
    ],
  );
  assert.equal(settings.log.level, 'warn');
  assert.equal(settings.workers, 1);
});

test('loopback and --direct destinations are direct, the rest goes to the upstream', () => {
  const { routes = [] } = settingsOf({ upstream: [ONE], direct: ['10.0.0.0/8', '.corp.example', 'private'] });
  assert.deepEqual(
    routes.map(({ to, via }) => [to, via === 'direct' ? via : via.label]),
    [
      [['loopback', '.localhost', '10.0.0.0/8', '.corp.example', 'private'], 'direct'],
      [['any'], 'upstream'],
    ],
  );
});

test('several upstreams are a group in their order, or as set by --choose', () => {
  const two = ['socks5h://a.example', 'http://b.example:3128'];
  for (const choose of [undefined, 'random']) {
    const way = wayOf(settingsOf({ upstream: two, ...(choose !== undefined && { choose }) }));
    assert.ok(way.type === 'group');
    assert.equal(way.choose, choose ?? 'order');
    assert.deepEqual(
      way.members.map((member) => member.upstream.label),
      ['socks5h://a.example:1080', 'http://b.example:3128'],
    );
  }
});

test('GARTER_UPSTREAM contains them with their passwords; a flag takes precedence', () => {
  const environment = { GARTER_UPSTREAM: 'socks5h://alice:pass,word@a.example, http://b.example' };
  const way = wayOf(settingsOf({}, environment));
  assert.ok(way.type === 'group');
  assert.deepEqual(
    way.members.map(({ upstream: one }) => one.type === 'server' && [one.label, one.credentials]),
    [
      ['socks5h://a.example:1080', { username: 'alice', password: 'pass,word' }],
      ['http://b.example:8080', undefined],
    ],
  );
  const other = wayOf(settingsOf({ upstream: [ONE] }, { ...environment, GARTER_DISCOVER: 'example.org' }));
  assert.ok(other.type === 'group');
  assert.equal(other.members.length, 1);
});

test('a login file', async () => {
  await using directory = await makeDirectory();
  const loginFile = join(directory.path, 'login');
  await writeFile(loginFile, '\u{feff}alice:s3:cret\r\n', { mode: 0o600 });
  const way = wayOf(settingsOf({ upstream: [ONE, 'http://b.example'], loginFile }));
  assert.ok(way.type === 'group');
  for (const { upstream: one } of way.members) {
    assert.ok(one.type === 'server');
    assert.deepEqual(one.credentials, { username: 'alice', password: 's3:cret' });
  }

  assert.deepEqual(faultsOf({ upstream: ['socks5h://bob@a.example'], loginFile }), [
    '--upstream: credentials are given twice',
  ]);
  for (const scheme of ['socks4', 'socks4a', 'SOCKS4a+tls'])
    assert.deepEqual(faultsOf({ upstream: [ONE, `${scheme}://a.example`], loginFile }), [
      '--login-file: SOCKS4 has a user id but no password',
    ]);
  await chmod(loginFile, 0o644);
  assert.deepEqual(faultsOf({ upstream: [ONE], loginFile }), [
    `--login-file: others can read or write ${loginFile}`,
  ]);
  await chmod(loginFile, 0o600);
  for (const [content, fault] of [
    ['hunter2', 'it contains no login'],
    ['alice:hunter2\nbob:hunter2\n', 'it has more than one line'],
    ['alice\nbob:hunter2\n', 'it has more than one line'],
    [' alice:hunter2', 'the name begins or ends with a blank'],
    [`alice:${'hunter2'.repeat(37)}`, 'the password is longer than 255 bytes'],
  ] as const) {
    await writeFile(loginFile, content);
    assert.deepEqual(faultsOf({ upstream: [ONE], loginFile }), [`--login-file: ${loginFile}: ${fault}`]);
  }
  assert.match(faultsOf({ upstream: [ONE], loginFile: '/nowhere' })[0]!, /^--login-file: .*ENOENT/);
});

test('--discover is the name of a domain, or of a service; a login goes over TLS', async () => {
  await using directory = await makeDirectory();
  const loginFile = join(directory.path, 'login');
  await writeFile(loginFile, 'alice:s3cret\n', { mode: 0o600 });
  const rows: readonly (readonly [AgentFlags, Environment, string])[] = [
    [{ discover: 'example.org' }, {}, '_socks5._tcp.example.org'],
    [{}, { GARTER_DISCOVER: 'example.org' }, '_socks5._tcp.example.org'],
    [{ discover: '_socks5s._tcp.example.org' }, {}, '_socks5s._tcp.example.org'],
    [{ discover: 'example.org', loginFile }, {}, '_socks5s._tcp.example.org'],
  ];
  for (const [flags, environment, service] of rows) {
    const way = wayOf(settingsOf(flags, environment));
    assert.ok(way.type === 'discover');
    assert.equal(way.service, service);
    const { credentials } = way.server;
    assert.deepEqual(credentials, flags.loginFile && { username: 'alice', password: 's3cret' });
  }
});

test('a configuration file, with the defaults of an agent', async () => {
  await using directory = await makeDirectory();
  const file = join(directory.path, 'garter.yaml');
  await writeFile(
    file,
    `rules: [{ allow: any, to: [.a.example] }, { allow: any, to: [any], log: [error] }]
routes: [{ to: [any], via: "${ONE}" }]
`,
  );
  const settings = settingsOf({ pac: true }, { GARTER_UPSTREAM: 'socks5h://ignored.example' }, file);
  assert.deepEqual(
    settings.policy.rules.map(({ log }) => log),
    [[], ['error']],
  );
  assert.equal(settings.listeners[0]?.pac, true);
  assert.equal(wayOf(settings).label, ONE);

  await writeFile(file, 'listen: [{ address: 0.0.0.0:1080 }]\naccept: [{ allow: true, from: [private] }]\n');
  assert.deepEqual(faultsOf({}, {}, file), [
    `${file}: others can reach 0.0.0.0:1080, but an agent is only for this machine`,
  ]);
  for (const flags of [{ choose: 'random' }, { direct: ['private'] }, { loginFile: 'x' }])
    assert.match(faultsOf(flags, {}, file)[0]!, /^--[a-z-]+: this belongs in the configuration$/);
});

suite('exactly one source of upstreams', () => {
  const rows: readonly (readonly [AgentFlags, Environment, string | undefined, string])[] = [
    [{}, {}, undefined, 'garter agent: there is no upstream'],
    [{}, { GARTER_UPSTREAM: '' }, undefined, 'garter agent: there is no upstream'],
    [{ upstream: [ONE] }, {}, 'g.yaml', '--upstream: upstreams are already given by --config'],
    [{ discover: 'a.example' }, {}, 'g.yaml', '--discover: upstreams are already given by --config'],
    [
      { upstream: [ONE], discover: 'a.example' },
      {},
      undefined,
      '--discover: upstreams are already given by --upstream',
    ],
    [
      {},
      { GARTER_UPSTREAM: ONE, GARTER_DISCOVER: 'a.example' },
      undefined,
      'GARTER_DISCOVER: upstreams are already given by GARTER_UPSTREAM',
    ],
  ];
  for (const [flags, environment, file, fault] of rows)
    test(fault, () => assert.deepEqual(faultsOf(flags, environment, file), [fault]));
});

test('mistakes are reported with their position, and without passwords', () => {
  const rows: readonly (readonly [AgentFlags, Environment, string])[] = [
    [{ upstream: ['proxy'] }, {}, '--upstream: this is not the URL of a proxy server'],
    [{ upstream: ['proxy.example:1080'] }, {}, '--upstream: this is not the URL of a proxy server'],
    [
      { upstream: ['socks5h://alice:hunter2@a.example'] },
      {},
      '--upstream: everyone on this machine can read a password on the command line',
    ],
    [
      {},
      { GARTER_UPSTREAM: 'alice:hunter2@a.example' },
      'GARTER_UPSTREAM: this is not the URL of a proxy server',
    ],
    [
      { discover: 'not a domain' },
      {},
      '--discover: "_socks5._tcp.not a domain" is not a service that garter can use',
    ],
    [{ upstream: [ONE], choose: 'best' }, {}, '--choose: "best" is not a valid value'],
    [{ upstream: [ONE], direct: ['10.0.0.1/8'] }, {}, '--direct: "10.0.0.1/8" is not a destination'],
    [
      { upstream: [ONE], listen: ['0.0.0.0:1080'] },
      {},
      '--listen: others can reach 0.0.0.0:1080, but an agent is only for this machine',
    ],
    [
      { upstream: [ONE], listen: ['unix:/run/x'], pac: true },
      {},
      '--pac: no listener is only for browsers on this machine',
    ],
  ];
  for (const [flags, environment, fault] of rows) {
    assert.deepEqual(faultsOf(flags, environment), [fault]);
    const { errors } = agentSettings(undefined, flags, environment);
    assert.doesNotMatch(JSON.stringify(errors), /hunter2/);
  }
});
