import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Command, formatHex, request4, request5 } from '../../test/support/raw.ts';
import type { MemoryClient } from '../../test/support/memory-client.ts';
import type { MemoryRelay } from '../../test/support/memory-connection.ts';
import { CLIENT, ServerScene, OPEN, ALICE, refused, rejected } from '../../test/support/server-scene.ts';
import type { Authentication } from '../auth/identity.ts';
import type { Connection } from '../net/engine.ts';
import { compile } from '../policy/compile.ts';
import { sourcesOf } from '../policy/request-conditions.ts';

const TARGET = '203.0.113.1';
const text = (value: string): Buffer => Buffer.from(value, 'latin1');

suite('before any byte is read', () => {
  for (const [title, accept, end] of [
    [
      'an accept rule',
      [
        { name: 'strangers', allow: false, from: [CLIENT] },
        { allow: true, from: ['any'] },
      ],
      'policy:accept:strangers',
    ],
    ['no accept rule', [{ allow: true, from: ['192.0.2.0/24'] }], 'policy:accept:no-rule'],
  ] as const) {
    test(`${title} closes the connection`, async () => {
      using scene = new ServerScene({ ...OPEN, accept });
      assert.equal((await scene.serve().rest()).length, 0);
      assert.equal(await scene.end(), end);
    });
  }

  test('a client that arrives on another network interface is refused', async () => {
    using scene = new ServerScene(OPEN);
    scene.listener.settings = { ...scene.listener.settings, interface: 'lan0' };
    await scene.serve().gone();
    assert.equal(await scene.end(), 'policy:accept:interface');
  });

  test("a balancer's header identifies the client; without a valid one the connection is closed", async () => {
    using scene = new ServerScene({
      ...OPEN,
      accept: [{ name: 'known', allow: true, from: ['203.0.113.9'] }],
    });
    scene.listener.balancers = sourcesOf({ name: 'proxy-protocol' }, [CLIENT]);
    const client = scene.serve();
    client.send(text('PROXY TCP4 203.0.113.9 10.0.0.2 7 2\r\n'), '05 01 09');
    await client.expect('05 ff');
    assert.equal((await scene.record()).client, '203.0.113.9:7');
    for (const [says, end] of [
      ['PROXY UNKNOWN? \r\n', 'client:accept:ERR_SOCKS_PROXY_HEADER'],
      ['PROXY TCP4 203.0.113.10 10.0.0.2 7 2\r\n', 'policy:accept:no-rule'],
    ] as const) {
      const wrong = scene.serve();
      wrong.send(text(says));
      await wrong.gone();
      assert.equal(await scene.end(), end);
    }
  });
});

suite('limits on connections', () => {
  test('per address: a slot is free again when a client leaves', async () => {
    using scene = new ServerScene({ ...OPEN, limits: { 'per-address': 2 } });
    const first = scene.serve();
    scene.serve();
    await scene.serve().gone();
    assert.equal(await scene.end(), 'limit:accept:per-address');
    await works(scene, scene.serve('198.51.100.8'));
    first.reset();
    assert.equal(await scene.end(), 'client:greeting:ECONNRESET');
    await works(scene, scene.serve());
  });

  test('the network with the most connections gives way, and a newcomer from elsewhere is accepted', async () => {
    using scene = new ServerScene({ ...OPEN, limits: { unauthenticated: '10:100:10' } });
    const idle = Array.from({ length: 10 }, (_, i) => scene.serve(`198.51.100.${2 + (i % 2)}`));
    const newcomer = scene.serve('203.0.113.77');
    await works(scene, newcomer);
    await Promise.race([idle[0]!.gone(), idle[1]!.gone()]);
    assert.equal(await scene.end(), 'limit:greeting:unauthenticated');
    // A newcomer from the most crowded network is refused itself.
    for (let i = 0; i < 3; i++) scene.serve('198.51.100.2');
    const ends = [await scene.end(), await scene.end()];
    assert.ok(ends.includes('limit:accept:unauthenticated'), ends.join());
  });

  for (const limits of [{ connections: 20 }, { unauthenticated: '20:100:20' }]) {
    test(`${JSON.stringify(limits)}: silent strangers, each from a different network, do not keep other clients out`, async () => {
      using scene = new ServerScene({ ...OPEN, limits });
      for (let i = 0; i < 30; i++) scene.serve(`10.${100 + i}.0.1`);
      let count = 0;
      for (let i = 0; i < 20; i++) {
        const client = scene.serve(`10.${10 + i}.0.1`);
        client.send('05 01 00');
        if ((await client.read(2).catch(() => undefined)) !== undefined) count++;
        client.reset();
      }
      // The slot is chosen at random: one in 21 is the newcomer's own.
      assert.ok(count >= 14, `${count} of 20`);
      assert.ok(scene.records.some(({ end }) => end === 'limit:greeting:unauthenticated'));
    });
  }
});

suite('CONNECT', () => {
  for (const [title, host, end, code] of [
    ['no listener', TARGET, 'target:dial:ECONNREFUSED', '05'],
    ['no answer', '203.0.113.9', 'target:dial:ETIMEDOUT', '06'],
    ['no rule allows it', '192.0.2.77', 'policy:request:no-rule', '02'],
  ] as const) {
    test(`${title}: reply ${code}, and 91 in SOCKS4`, async () => {
      using scene = new ServerScene(OPEN);
      scene.engine.silent.add('203.0.113.9');
      scene.state.timeouts = { ...scene.state.timeouts, connect: 10 };
      const client = scene.serve();
      client.send('05 01 00', request5(Command.connect, host, 9));
      assert.equal(formatHex(await client.rest()), refused(code));
      assert.equal(await scene.end(), end);
      const old = scene.serve();
      old.send(request4(Command.connect, host, 9));
      assert.equal(formatHex(await old.rest()), rejected);
      assert.equal(await scene.end(), end);
    });
  }

  test('bytes behind the request are the first for the target, and the record is complete', async () => {
    using scene = new ServerScene(OPEN);
    await startEcho(scene);
    const client = scene.serve();
    client.send('05 01 00', request5(Command.connect, TARGET, 7), text('early'));
    await client.expect('05 00');
    const { code, host, port } = await client.reply();
    client.end();
    assert.equal((await client.rest()).toString(), 'early');
    const record = await scene.record();
    assert.partialDeepStrictEqual(record, {
      command: 'connect',
      destination: `${TARGET}:7`,
      address: `${TARGET}:7`,
      rule: 'some',
      bound: `${host}:${port}`,
      sent: 5,
      received: 5,
      end: 'client:relay',
    });
    assert.equal(code, 0);
  });

  test('the limits of the rule apply to the relay', async () => {
    const limit = { idle: '7s', duration: '9s' };
    using scene = new ServerScene({ ...OPEN, rules: [{ allow: 'any', to: `${TARGET}/32`, limit }] });
    await startEcho(scene);
    await works(scene, scene.serve());
    const [{ options }] = scene.engine.relays as [MemoryRelay];
    assert.deepEqual([options.idle, options.duration], [7000, 9000]);
    assert.equal(options.halfClose, scene.state.timeouts.halfClose);
  });

  test('when the rules change during the dial, the connection is closed again', async () => {
    using scene = new ServerScene(OPEN);
    const reached = Promise.withResolvers<Connection>();
    await scene.engine.listen({ host: TARGET, port: 7 }, (connection) => {
      reached.resolve(connection);
      // Like a reload, which checks open connections itself.
      scene.state.policy = compile({ rules: [] });
      scene.state.decisions++;
    });
    const client = scene.serve();
    client.send('05 01 00', request5(Command.connect, TARGET, 7));
    assert.equal(formatHex(await client.rest()), refused('02'));
    assert.equal(await scene.end(), 'policy:dial:revoked');
    assert.equal(await (await reached.promise).read(), undefined);
  });

  for (const [title, leaves, end, timeout] of [
    ['resets', (client: MemoryClient) => client.reset(), 'client:dial:ECONNRESET', 60_000],
    [
      'ends its direction, but still waits for the reply',
      (client: MemoryClient) => client.end(),
      'target:dial:ETIMEDOUT',
      10,
    ],
  ] as const) {
    test(`a client ${title} while it dials`, async () => {
      using scene = new ServerScene(OPEN);
      scene.engine.silent.add(TARGET);
      scene.state.timeouts = { ...scene.state.timeouts, connect: timeout };
      const client = scene.serve();
      client.send('05 01 00', request5(Command.connect, TARGET, 7));
      await client.expect('05 00');
      await new Promise((resolve) => setImmediate(resolve));
      leaves(client);
      assert.equal(await scene.end(), end);
    });
  }
});

test('SOCKS4 does not support UDP, or names in replies', async () => {
  using scene = new ServerScene(OPEN);
  for (const command of [Command.associate, Command.resolvePtr]) {
    const client = scene.serve();
    client.send(request4(command, '127.0.0.1', 0));
    assert.equal(formatHex(await client.rest()), rejected);
    assert.equal((await scene.record()).end, 'client:request:command');
  }
});

test('the user id of SOCKS4 is recorded as a claim, in part where it is long', async () => {
  using scene = new ServerScene({ rules: [] });
  for (const [userId, claimed] of [
    ['root\n', 'root\n'],
    ['x'.repeat(200), 'x'.repeat(64)],
    ['', undefined],
  ] as const) {
    const client = scene.serve();
    client.send('04 01 00 50 c0 00 02 01', Buffer.from(`${userId}\0`));
    assert.equal(formatHex(await client.rest()), rejected);
    assert.partialDeepStrictEqual(await scene.record(), { claimed, user: undefined });
  }
});

test('a user who is removed between password and request gets nothing', async () => {
  let isKnown = true;
  const authenticator: Authentication = {
    ...ALICE,
    identities: async (names) => names.map((user) => (isKnown ? { user, groups: [] } : undefined)),
  };
  using scene = new ServerScene(OPEN, { authenticator });
  const client = scene.serve();
  client.send('05 01 02', text('\x01\x05alice\x06secret'));
  await client.expect('05 02 01 00');
  isKnown = false;
  await scene.reload(OPEN);
  await client.gone();
  assert.equal(await scene.end(), 'policy:request:user-gone');
});

suite('a listener that requires a password', () => {
  const config = { ...OPEN, listen: [{ address: '127.0.0.1:0', methods: ['password'] }] } as const;
  for (const { title, says, gets, end } of [
    {
      title: 'SOCKS4 has no passwords',
      says: [request4(Command.connect, TARGET, 7)],
      gets: rejected,
      end: 'policy:request:no-method',
    },
    {
      title: 'a request is not accepted as a login',
      says: ['05 02 00 02', request5(Command.connect, TARGET, 7)],
      gets: '05 02 01 01',
      end: 'client:auth:ERR_SOCKS_PASSWORD_VERSION',
    },
    {
      title: 'a user name cannot forge a line of the log',
      says: ['05 01 02', '01 10', text('eve\r\n{"level":1}'), '01 61'],
      gets: '05 02 01 01',
      end: 'policy:auth:wrong',
    },
  ]) {
    test(title, async () => {
      using scene = new ServerScene(config, { authenticator: ALICE });
      const client = scene.serve();
      client.send(...says);
      client.end();
      assert.equal(formatHex(await client.rest()), gets);
      assert.equal(await scene.end(), end);
    });
  }

  test('a login and a request in one piece', async () => {
    using scene = new ServerScene(config, { authenticator: ALICE });
    await startEcho(scene);
    const client = scene.serve();
    client.send(
      '05 01 02',
      text('\x01\x05alice\x06secret'),
      request5(Command.connect, TARGET, 7),
      text('hello'),
    );
    await client.expect('05 02 01 00 05 00 00');
    await client.read(7);
    await client.expect(text('hello'));
  });
});

async function startEcho({ engine }: ServerScene): Promise<void> {
  await engine.listen({ host: TARGET, port: 7 }, (connection) => void echo(connection));
}

async function echo(connection: Connection): Promise<void> {
  for (let bytes = await connection.read(); bytes !== undefined; bytes = await connection.read())
    connection.write(bytes);
  connection.destroy();
}

/** Asserts that the client is served. */
async function works(scene: ServerScene, client: MemoryClient): Promise<void> {
  await startEcho(scene).catch(() => undefined);
  client.send('05 01 00', request5(Command.connect, TARGET, 7), text('x'));
  await client.expect('05 00 05 00 00');
  await client.read(7);
  await client.expect(text('x'));
}
