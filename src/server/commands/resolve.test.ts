import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Command, request4, request5 } from '../../../test/support/raw.ts';
import { MemoryEngine } from '../../../test/support/memory-engine.ts';
import { ServerScene } from '../../../test/support/server-scene.ts';
import type { SceneOptions } from '../../../test/support/server-scene.ts';
import type { ServerConfig } from '../../../test/support/settings.ts';
import { Reply } from '../../wire/socks5.ts';
import { Failure } from '../failure.ts';
import { answerQuery } from './resolve.ts';

const UPSTREAM = '192.0.2.9';

const ZONE: Readonly<Record<string, readonly string[]>> = {
  // In the order of RFC 6724.
  'dual.test': ['::1', '127.0.0.1'],
  'six.test': ['::1'],
  'here.test': ['10.9.8.1'],
};
const NAMES: Readonly<Record<string, string>> = { '10.9.8.1': 'here.test' };
const names: SceneOptions = { lookUp: (name) => ZONE[name], nameOf: (address) => NAMES[address] };

const OPEN: Partial<ServerConfig> = { rules: [{ name: 'all', allow: 'any', to: ['any', 'loopback'] }] };

function via(url: string, more: object = {}): Partial<ServerConfig> {
  return { ...OPEN, routes: [{ to: ['any', 'loopback'], via: 'up', ...more }], upstreams: { up: url } };
}

interface Both extends Disposable {
  readonly near: ServerScene;
  readonly far: ServerScene;
}

/** The host in the answer, and the end code. */
async function answer(scene: ServerScene, bytes: Uint8Array): Promise<readonly [host: string, end: string]> {
  const { client, session, handshake, request } = await scene.ask(bytes);
  session.requestReceived(request.protocol, 'resolve', request.destination);
  const { by, phase } = await answerQuery(session, handshake, request, scene.state);
  const { code, host, port } = await client.reply();
  assert.deepEqual([code, port], [Reply.succeeded, 0]);
  return [host, `${by}:${phase}`];
}

/** The message and the reply code of a failure. */
async function failure(scene: ServerScene, bytes: Uint8Array): Promise<readonly [string, Reply]> {
  const { session, handshake, request } = await scene.ask(bytes);
  try {
    await answerQuery(session, handshake, request, scene.state);
  } catch (error) {
    const { message, reply } = Failure.from(error, session.phase);
    return [message, reply];
  }
  return assert.fail('it was answered');
}

interface Row {
  readonly says: string;
  readonly config?: Partial<ServerConfig>;
  readonly order?: 'system' | 'ipv4-first';
  /** @default 'dual.test' */
  readonly name?: string;
  /** @default '127.0.0.1' */
  readonly host?: string;
}

const DUAL: readonly Row[] = [
  { says: 'IPv4 first' },
  { says: 'the first by RFC 6724', order: 'system', host: '::1' },
  { says: 'IPv4 first, as written', order: 'ipv4-first' },
  { says: 'IPv6 if the name has no IPv4', name: 'six.test', host: '::1' },
  {
    says: 'IPv6 where the rules allow nothing else',
    config: { rules: [{ allow: 'any', to: '::1' }] },
    host: '::1',
  },
  {
    says: 'IPv4 first where names are resolved before an upstream',
    config: via(`socks5://${UPSTREAM}:1080`),
  },
];

suite('RESOLVE of a name with both families', () => {
  for (const { says, config = OPEN, order, name = 'dual.test', host = '127.0.0.1' } of DUAL) {
    test(says, async () => {
      const listen = [{ address: '127.0.0.1:0', ...(order && { resolve: order }) }];
      using scene = new ServerScene({ listen, ...config }, names);
      const found = await answer(scene, request5(Command.resolve, name, 0));
      assert.deepEqual(found, [host, 'none:resolve']);
    });
  }

  test('SOCKS4 can only carry IPv4', async () => {
    const listen = [{ address: '127.0.0.1:0', resolve: 'system' }] as const;
    using scene = new ServerScene({ listen, ...OPEN }, names);
    const { client, session, handshake, request } = await scene.ask(
      request4(Command.resolve, 'dual.test', 0),
    );
    await answerQuery(session, handshake, request, scene.state);
    await client.expect('00 5a 00 00 7f 00 00 01');
    assert.deepEqual(await failure(scene, request4(Command.resolve, 'six.test', 0)), [
      'target:resolve:ENOTFOUND',
      Reply.hostUnreachable,
    ]);
  });
});

test('the address is in the record, and the session counts', async () => {
  using scene = new ServerScene(
    { rules: [{ name: 'one', allow: 'resolve', to: 'any', limit: { sessions: 1 } }] },
    names,
  );
  const bytes = request5(Command.resolve, 'here.test', 0);
  const { session, handshake, request } = await scene.ask(bytes);
  await answerQuery(session, handshake, request, scene.state);
  const { rule, address } = session.record();
  assert.deepEqual({ rule, address }, { rule: 'one', address: '10.9.8.1' });
  assert.deepEqual(await failure(scene, bytes), ['limit:request:sessions', Reply.notAllowed]);
});

test('RESOLVE_PTR accepts addresses only', async () => {
  using scene = new ServerScene(OPEN, names);
  assert.equal((await answer(scene, request5(Command.resolvePtr, '10.9.8.1', 0)))[0], 'here.test');
  for (const [host, end, reply] of [
    ['10.9.8.2', 'target:resolve:ENOTFOUND', Reply.hostUnreachable],
    ['here.test', 'client:request:address-type', Reply.addressTypeNotSupported],
  ] as const)
    assert.deepEqual(await failure(scene, request5(Command.resolvePtr, host, 0)), [end, reply]);
});

test('an unknown name, an invalid one, and one that the rules refuse', async () => {
  using scene = new ServerScene(
    {
      rules: [
        { name: 'no', deny: 'any', to: 'six.test' },
        { allow: 'any', to: 'any' },
      ],
    },
    names,
  );
  for (const [name, end, reply] of [
    ['none.test', 'target:resolve:ENOTFOUND', Reply.hostUnreachable],
    ['!', 'client:request:bad-name', Reply.hostUnreachable],
    ['six.test', 'policy:request:rule', Reply.notAllowed],
  ] as const)
    assert.deepEqual(await failure(scene, request5(Command.resolve, name, 0)), [end, reply]);
});

suite('RESOLVE through an upstream', () => {
  const there: SceneOptions = {
    lookUp: (name) =>
      name === 'far.test' ? ['10.9.8.2'] : name === 'dual.test' ? ['::1', '127.0.0.1'] : undefined,
    nameOf: (address) => (address === '10.9.8.2' ? 'far.test' : undefined),
  };
  /** An upstream, and the server in front of it. */
  async function scenes(config: Partial<ServerConfig>): Promise<Both> {
    const engine = new MemoryEngine();
    const listen = [{ address: '127.0.0.1:0', protocols: ['socks5', 'socks4', 'http'] }] as const;
    const far = new ServerScene({ ...OPEN, listen }, { ...there, engine });
    await far.listen(UPSTREAM, 1080);
    const near = new ServerScene(config, { ...names, engine });
    const end = (): void => [near, far].forEach((scene) => scene[Symbol.dispose]());
    return { near, far, [Symbol.dispose]: end };
  }

  test('if names are passed on, the last server is asked', async () => {
    using both = await scenes(via(`socks5h://${UPSTREAM}:1080`));
    const { near } = both;
    assert.equal((await answer(near, request5(Command.resolve, 'far.test', 0)))[0], '10.9.8.2');
    assert.equal((await answer(near, request5(Command.resolve, 'dual.test', 0)))[0], '127.0.0.1');
    assert.equal((await answer(near, request5(Command.resolvePtr, '10.9.8.2', 0)))[0], 'far.test');
    assert.deepEqual(await failure(near, request5(Command.resolve, 'here.test', 0)), [
      'target:resolve:reply-4',
      Reply.hostUnreachable,
    ]);
  });

  for (const scheme of ['http', 'socks4a']) {
    test(`${scheme} does not support it: reply 7`, async () => {
      using both = await scenes(via(`${scheme}://${UPSTREAM}:1080`));
      const { near } = both;
      for (const bytes of [
        request5(Command.resolve, 'far.test', 0),
        request5(Command.resolvePtr, '10.9.8.2', 0),
      ])
        assert.deepEqual(await failure(near, bytes), ['upstream:resolve:command', Reply.commandNotSupported]);
    });
  }

  for (const [scheme, more] of [
    ['socks5', {}],
    ['socks5h', { resolve: 'here' }],
  ] as const) {
    test(`${scheme} ${JSON.stringify(more)}: names are resolved here`, async () => {
      using both = await scenes(via(`${scheme}://${UPSTREAM}:1080`, more));
      const { near, far } = both;
      assert.equal((await answer(near, request5(Command.resolve, 'here.test', 0)))[0], '10.9.8.1');
      assert.equal((await answer(near, request5(Command.resolvePtr, '10.9.8.1', 0)))[0], 'here.test');
      assert.deepEqual(await failure(near, request5(Command.resolve, 'far.test', 0)), [
        'target:resolve:ENOTFOUND',
        Reply.hostUnreachable,
      ]);
      assert.deepEqual(far.records, [], 'the far server was asked');
    });
  }

  test('a member of a group that does not support it is skipped', async () => {
    const servers = [`http://${UPSTREAM}:1080`, `socks5h://${UPSTREAM}:1080`];
    using both = await scenes({
      ...OPEN,
      routes: [{ to: 'any', via: 'up' }],
      upstreams: { up: { servers } },
    });
    const { near } = both;
    assert.equal((await answer(near, request5(Command.resolve, 'far.test', 0)))[0], '10.9.8.2');
  });
});
