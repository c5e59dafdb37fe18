import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { MemoryClient } from '../../../test/support/memory-client.ts';
import { MemoryEngine } from '../../../test/support/memory-engine.ts';
import { Command, parseHex, request4, request5 } from '../../../test/support/raw.ts';
import { SERVER, ServerScene } from '../../../test/support/server-scene.ts';
import type { Asked } from '../../../test/support/server-scene.ts';
import type { ServerConfig } from '../../../test/support/settings.ts';
import { addressOf } from '../../wire/address.ts';
import type { HostPort } from '../../wire/address.ts';
import { parseIp } from '../../wire/ip.ts';
import { encodeSocks5Reply, Reply } from '../../wire/socks5.ts';
import { Failure } from '../failure.ts';
import { bind } from './bind.ts';

const PEER = '203.0.113.1';
const STRANGER = '203.0.113.66';
const UPSTREAM = '192.0.2.9';

/** With an egress, so that the kernel is not asked for a route to the peer. */
const HERE: Partial<ServerConfig> = {
  rules: [{ name: 'some', allow: 'bind', to: ['203.0.113.0/26', 'any.test'] }],
  routes: [{ to: ['any', 'loopback'], via: 'direct', egress: [SERVER] }],
};

interface Waiting extends Asked {
  readonly at: HostPort;
  /** The failure that ends it; `undefined` when it is relayed. */
  readonly outcome: Promise<Failure | undefined>;
}

/** Processes a request up to the first reply, which contains the address for the peer. */
async function begin(scene: ServerScene, bytes: Uint8Array): Promise<Waiting> {
  const asked = await scene.ask(bytes);
  const { client, session, handshake, request } = asked;
  session.client.onLost((error) => {
    if (error !== undefined) session.stop(Failure.ofClient(error, session.phase));
    else session.clientEnds();
  });
  const outcome = bind(session, handshake, request, scene.state).catch((error: unknown) =>
    Failure.from(error, session.phase),
  );
  if (bytes[0] === 4) {
    const reply = await client.read(8);
    assert.deepEqual([...reply.subarray(0, 2)], [0, 0x5a]);
    return { ...asked, outcome, at: { host: reply.subarray(4).join('.'), port: reply.readUInt16BE(2) } };
  }
  const { code, host, port } = await client.reply();
  assert.equal(code, Reply.succeeded);
  return { ...asked, outcome, at: { host, port } };
}

async function connectPeer(
  { engine }: ServerScene,
  at: HostPort,
  from: string,
  fromPort?: number,
): Promise<MemoryClient> {
  const options = fromPort === undefined ? { from, timeout: 0 } : { from, fromPort, timeout: 0 };
  return new MemoryClient(await engine.connect(at, options));
}

function sceneOf(config: Partial<ServerConfig> = HERE): ServerScene {
  return new ServerScene(config, { lookUp: (name) => (name === 'any.test' ? [PEER] : undefined) });
}

test('two replies, then bytes both ways, and a record', async () => {
  using scene = sceneOf();
  const { client, at, outcome, session } = await begin(scene, request5(Command.bind, PEER, 0));
  const peer = await connectPeer(scene, at, PEER);
  assert.deepEqual(await client.reply(), { code: Reply.succeeded, host: PEER, port: peer.localPort });
  assert.equal(await outcome, undefined);
  client.send(Buffer.from('out'));
  await peer.expect(Buffer.from('out'));
  peer.send(Buffer.from('back'));
  peer.end();
  assert.equal((await client.rest()).toString(), 'back');
  client.end();
  assert.equal(await scene.end(), 'target:relay');
  const { rule, bound, address, sent, received } = session.record();
  assert.deepEqual(
    { rule, bound, address, sent, received },
    {
      rule: 'some',
      bound: `${at.host}:${at.port}`,
      address: `${PEER}:${peer.localPort}`,
      sent: 3,
      received: 4,
    },
  );
  assert.ok(scene.engine.listeners.every(({ isClosed }) => isClosed));
});

test("the port counts as garter's own while it is open", async () => {
  using scene = sceneOf();
  const { at, outcome } = await begin(scene, request5(Command.bind, PEER, 0));
  const isOwn = (): boolean => scene.state.ports.isOwnPort(parseIp(SERVER)!, at.port, 'tcp');
  assert.ok(isOwn());
  await connectPeer(scene, at, PEER);
  await outcome;
  assert.ok(!isOwn());
});

suite('acceptable peers', () => {
  test('SOCKS5: a stranger is rejected, and the right peer can still connect', async () => {
    using scene = sceneOf();
    const { client, at, outcome } = await begin(scene, request5(Command.bind, PEER, 0));
    const stranger = await connectPeer(scene, at, STRANGER);
    await stranger.gone();
    const peer = await connectPeer(scene, at, PEER);
    assert.equal((await client.reply()).port, peer.localPort);
    assert.equal(await outcome, undefined);
  });

  test('SOCKS4: a stranger ends the request', async () => {
    using scene = sceneOf();
    const { at, outcome } = await begin(scene, request4(Command.bind, PEER, 0));
    const stranger = await connectPeer(scene, at, STRANGER);
    assert.equal((await outcome)?.message, 'target:bind:wrong-peer');
    await stranger.gone();
    await assert.rejects(connectPeer(scene, at, PEER), { code: 'ECONNREFUSED' });
  });

  test('any address of a name', async () => {
    using scene = sceneOf();
    const { at, outcome } = await begin(scene, request5(Command.bind, 'any.test', 0));
    await connectPeer(scene, at, PEER);
    assert.equal(await outcome, undefined);
  });

  test('without a named peer, any peer that a rule allows; that rule counts it', async () => {
    const limit = { sessions: 1 };
    using scene = sceneOf({
      ...HERE,
      rules: [
        { name: 'first', allow: 'bind', to: '192.0.2.0/24' },
        { name: 'peers', allow: 'bind', to: '203.0.113.0/26', limit },
      ],
    });
    const first = await begin(scene, request5(Command.bind, '0.0.0.0', 0));
    await (await connectPeer(scene, first.at, STRANGER)).gone();
    await connectPeer(scene, first.at, PEER);
    assert.equal((await first.client.reply()).host, PEER);
    assert.equal(await first.outcome, undefined);
    assert.equal(first.session.rule?.name, 'peers');
    const second = await begin(scene, request5(Command.bind, '0.0.0.0', 0));
    assert.equal(second.session.lease, undefined, 'it counts in no rule as long as nobody has come');
    const refused = await connectPeer(scene, second.at, PEER);
    const { message, reply } = (await second.outcome)!;
    assert.deepEqual([message, reply], ['limit:bind:sessions', Reply.notAllowed]);
    await refused.gone();
  });

  test('with a named peer, rules judge DST.PORT (RFC 1928 section 4), and the peer can use any port', async () => {
    using scene = sceneOf({ ...HERE, rules: [{ allow: 'bind', to: '203.0.113.0/24', port: [20, 21] }] });
    const { session, handshake, request } = await scene.ask(request5(Command.bind, PEER, 22));
    await assert.rejects(bind(session, handshake, request, scene.state), {
      message: 'policy:request:no-rule',
    });
    const { at, outcome } = await begin(scene, request5(Command.bind, PEER, 21));
    await connectPeer(scene, at, PEER, 9999);
    assert.equal(await outcome, undefined);
  });

  test('without a named peer, rules judge the port of the peer and ignore DST.PORT', async () => {
    using scene = sceneOf({ ...HERE, rules: [{ allow: 'bind', to: '203.0.113.0/24', port: [20, 21] }] });
    const { client, at } = await begin(scene, request5(Command.bind, '0.0.0.0', 21));
    await (await connectPeer(scene, at, PEER, 9999)).gone();
    await connectPeer(scene, at, PEER, 20);
    assert.deepEqual(await client.reply(), { code: Reply.succeeded, host: PEER, port: 20 });
  });

  test('SOCKS4 cannot name a peer that only has IPv6', async () => {
    const rules = [{ allow: 'bind', to: '2001:db8::/32' }] as const;
    using scene = new ServerScene({ ...HERE, rules }, { lookUp: () => ['2001:db8::1'] });
    const { session, handshake, request } = await scene.ask(request4(Command.bind, 'six.test', 0));
    await assert.rejects(bind(session, handshake, request, scene.state), {
      message: 'target:bind:address-type',
    });
  });
});

suite('no peer connects', () => {
  test('after the time-out, the second reply reports it', async () => {
    using scene = sceneOf();
    scene.state.timeouts = { ...scene.state.timeouts, bind: 1 };
    const { at, outcome } = await begin(scene, request5(Command.bind, PEER, 0));
    const { message, reply } = (await outcome)!;
    assert.deepEqual([message, reply], ['timeout:bind', Reply.ttlExpired]);
    await assert.rejects(connectPeer(scene, at, PEER), { code: 'ECONNREFUSED' });
  });

  for (const [title, leaves, end] of [
    ['the client ends', ({ client }: Waiting) => client.end(), 'client:bind'],
    ['the client is lost', ({ client }: Waiting) => client.reset(), 'client:bind:ECONNRESET'],
    [
      'the session is stopped',
      ({ session }: Waiting) => session.stop(Failure.refusal('revoked', 'bind')),
      'policy:bind:revoked',
    ],
  ] as const) {
    test(`${title}: the port is closed`, async () => {
      using scene = sceneOf();
      const waiting = await begin(scene, request5(Command.bind, PEER, 0));
      leaves(waiting);
      assert.equal((await waiting.outcome)?.message, end);
      await assert.rejects(connectPeer(scene, waiting.at, PEER), { code: 'ECONNREFUSED' });
    });
  }

  test('the client has already ended: no port is opened', async () => {
    using scene = sceneOf();
    const { session, handshake, request } = await scene.ask(request5(Command.bind, PEER, 0));
    session.clientEnds();
    await assert.rejects(bind(session, handshake, request, scene.state), { message: 'client:bind' });
    assert.deepEqual(scene.engine.listeners, []);
  });
});

suite('BIND at the last server of a route', () => {
  const VIA: Partial<ServerConfig> = {
    rules: [{ name: 'some', allow: 'bind', to: '203.0.113.0/26' }],
    upstreams: { up: `socks5://${UPSTREAM}:1080` },
    routes: [{ to: ['any', 'loopback'], via: 'up' }],
  };

  test('passes on both replies', async () => {
    const engine = new MemoryEngine();
    using near = new ServerScene(VIA, { engine });
    using far = new ServerScene(
      { ...HERE, routes: [{ to: 'any', via: 'direct', egress: UPSTREAM }] },
      { engine },
    );
    await far.listen(UPSTREAM, 1080);
    const { client, at, outcome, session } = await begin(near, request5(Command.bind, PEER, 0));
    assert.equal(at.host, UPSTREAM);
    const peer = await connectPeer(near, at, PEER);
    assert.deepEqual(await client.reply(), { code: Reply.succeeded, host: PEER, port: peer.localPort });
    assert.equal(await outcome, undefined);
    peer.send(Buffer.from('first'));
    await client.expect(Buffer.from('first'));
    assert.equal(session.route, 'up');
  });

  /** An upstream whose second reply names this peer. */
  async function startLiar(engine: MemoryEngine, peer: string): Promise<void> {
    await engine.listen({ host: UPSTREAM, port: 1080 }, (connection) => {
      connection.write(parseHex('05 00'));
      connection.write(success(UPSTREAM, 4000));
      connection.write(success(peer, 5000));
    });
  }

  for (const [named, peer, end] of [
    [PEER, STRANGER, 'target:bind:wrong-peer'],
    ['0.0.0.0', STRANGER, 'policy:bind:no-rule'],
    ['0.0.0.0', PEER, undefined],
    [PEER, '0.0.0.0', undefined],
  ] as const) {
    test(`${peer} connects where ${named} was named: ${end ?? 'relayed'}`, async () => {
      const engine = new MemoryEngine();
      using near = new ServerScene(VIA, { engine });
      await startLiar(engine, peer);
      const { outcome } = await begin(near, request5(Command.bind, named, 0));
      assert.equal((await outcome)?.message, end);
    });
  }
});

function success(host: string, port: number): Uint8Array {
  return encodeSocks5Reply({ code: Reply.succeeded, bound: addressOf(host, port) });
}
