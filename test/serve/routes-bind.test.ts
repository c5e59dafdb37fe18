import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { startGarter, type Garter } from '../support/garter.ts';
import { address, Command, RawClient, readAddress, replyCode, request4, request5 } from '../support/raw.ts';
import { at, startTarget, type Target } from '../support/targets.ts';

interface Place {
  readonly host: string;
  readonly port: number;
}

/** A SOCKS5 server that accepts the client and sends these replies, one for each call of `more`. */
async function startScripted(...replies: readonly Uint8Array[]): Promise<Target & { more(): void }> {
  let open: Socket | undefined;
  const left = [...replies];
  const more = (): void => {
    const next = left.shift();
    if (next !== undefined) open!.write(next);
    else open!.end();
  };
  const target = await startTarget((socket) => {
    open = socket;
    socket.once('data', () => {
      socket.write(Buffer.of(5, 0));
      socket.once('data', more);
    });
  });
  return { ...target, more };
}

const reply5 = (host: string, port: number, code = 0): Buffer =>
  Buffer.concat([Buffer.of(5, code, 0), address(host, port)]);

/** A garter whose only route is this. */
function near(via: string, rules = '{ name: all, allow: any, to: [any, loopback] }'): Promise<Garter> {
  return startGarter({
    listener: ['protocols: [socks5, socks4]'],
    config: `
rules: [${rules}]
timeouts: { bind: 3s, connect: 5s }
routes: [{ to: [any], via: way }]
upstreams: { way: ${via} }`,
  });
}

/** Requests BIND up to the first reply: `place` is the address for the peer. */
async function bind(garter: Garter, host: string): Promise<Disposable & { client: RawClient; place: Place }> {
  const client = await RawClient.connect(garter);
  client.send('05 01 00', request5(Command.bind, host, 0));
  await client.expect('05 00  05 00 00');
  return { client, place: await readAddress(client), [Symbol.dispose]: () => client[Symbol.dispose]() };
}

/** Connects the peer, and exchanges bytes in both directions. */
async function connectPeer(client: RawClient, place: Place): Promise<RawClient> {
  const peer = await RawClient.connect(place);
  await client.expect('05 00 00');
  assert.deepEqual(await readAddress(client), { host: '127.0.0.1', port: peer.localPort });
  client.send(Buffer.from('out'));
  await peer.expect(Buffer.from('out'));
  peer.send(Buffer.from('back'));
  await client.expect(Buffer.from('back'));
  return peer;
}

suite('BIND through upstreams', () => {
  const resources = new AsyncDisposableStack();
  let far: Garter;
  let middle: Garter;
  before(async () => {
    const open = 'rules: [{ name: open, allow: any, to: [loopback, unspecified, any] }]';
    const listener = ['protocols: [socks5, socks4, http]'];
    far = resources.use(await startGarter({ listener, config: `${open}\ntimeouts: { bind: 2s }` }));
    middle = resources.use(await startGarter({ listener, config: open }));
  });
  after(() => resources.disposeAsync());

  for (const scheme of ['socks5', 'socks5h', 'socks4', 'socks4a']) {
    test(`${scheme}: two replies, then bytes both ways`, async () => {
      await using garter = await near(`"${scheme}://${at(far)}"`);
      using bound = await bind(garter, '127.0.0.1');
      const { client, place } = bound;
      using peer = await connectPeer(client, place);
      client.end();
      peer.end();
      const record = await garter.record({ command: 'bind', bound: at(place), sent: 3, received: 4 });
      assert.equal(record.route, 'way');
      assert.equal(record.address, `127.0.0.1:${peer.localPort}`);
      await far.record({ command: 'bind', bound: at(place) });
    });
  }

  test('a chain: the port is at its last server', async () => {
    await using garter = await near(`{ chain: ["http://${at(middle)}", "socks5h://${at(far)}"] }`);
    using bound = await bind(garter, '127.0.0.1');
    using peer = await connectPeer(bound.client, bound.place);
    peer.end();
    bound.client.end();
    const record = await garter.record({ command: 'bind', bound: at(bound.place) });
    assert.equal(record.route, `way/${at(middle)}/${at(far)}`);
    await far.record({ command: 'bind', bound: at(bound.place) });
  });

  test('a name is passed on as a name', async () => {
    await using garter = await near(`"socks5h://${at(far)}"`, '{ name: named, allow: any, to: [localhost] }');
    using bound = await bind(garter, 'localhost');
    using peer = await connectPeer(bound.client, bound.place);
    peer.end();
    bound.client.end();
    await far.record({ command: 'bind', destination: 'localhost:0', bound: at(bound.place) });
  });

  test('a SOCKS4 client', async () => {
    await using garter = await near(`"socks5h://${at(far)}"`);
    using client = await RawClient.connect(garter);
    client.send(request4(Command.bind, '127.0.0.1', 0));
    await client.expect('00 5a');
    const port = (await client.read(2)).readUInt16BE();
    using peer = await RawClient.connect({ host: (await client.read(4)).join('.'), port });
    await client.expect('00 5a');
    assert.equal((await client.read(6)).readUInt16BE(), peer.localPort);
  });

  test('a server that is down, and one that cannot BIND, are skipped', async () => {
    await using garter = await near(
      `{ servers: ["socks5h://127.0.0.1:1", "http://${at(middle)}", "socks5h://${at(far)}"] }`,
    );
    using bound = await bind(garter, '127.0.0.1');
    using peer = await connectPeer(bound.client, bound.place);
    peer.end();
  });

  test('HTTP does not support it: reply 7', async () => {
    await using garter = await near(`"http://${at(far)}"`);
    assert.equal(await replyCode(garter, request5(Command.bind, '127.0.0.1', 0)), 7);
    await garter.record({ command: 'bind', end: 'upstream:bind:command', route: 'way' });
  });

  test('without a named peer, the rules decide on the peer that connects', async () => {
    await using garter = await near(
      `"socks5://${at(far)}"`,
      '{ name: no, deny: bind, to: [127.0.0.9] }, { name: all, allow: any, to: [any, loopback] }',
    );
    using good = await bind(garter, '0.0.0.0');
    using peer = await connectPeer(good.client, good.place);
    peer.end();
    using bad = await bind(garter, '0.0.0.0');
    using stranger = await RawClient.connect(bad.place, '127.0.0.9');
    await bad.client.expect('05 02 00');
    await stranger.gone();
    const record = await garter.record({ command: 'bind', bound: at(bad.place), end: 'policy:bind:rule' });
    assert.equal(record.address, `127.0.0.9:${stranger.localPort}`);
  });

  test('an unspecified address is that of the server', async () => {
    const second = reply5('127.0.0.1', 999);
    await using server = await startScripted(reply5('0.0.0.0', 4321), second);
    await using garter = await near(`"socks5h://${at(server)}"`);
    using bound = await bind(garter, '127.0.0.1');
    assert.deepEqual(bound.place, { host: '127.0.0.1', port: 4321 });
    server.more();
    await bound.client.expect(second);
    server.more();
  });

  test('IPv4 addresses that a dual-stack server sends as IPv6, also for a SOCKS4 client', async () => {
    const host = '::ffff:127.0.0.1';
    await using server = await startScripted(reply5(host, 4321), reply5(host, 999));
    await using garter = await near(`"socks5h://${at(server)}"`);
    using client = await RawClient.connect(garter);
    client.send(request4(Command.bind, '127.0.0.1', 0));
    await client.expect('00 5a 10 e1 7f 00 00 01');
    server.more();
    await client.expect('00 5a 03 e7 7f 00 00 01');
    server.more();
  });

  test('an address that does not fit into SOCKS4', async () => {
    await using server = await startScripted(reply5('2001:db8::1', 4321));
    await using garter = await near(`"socks5h://${at(server)}"`);
    using client = await RawClient.connect(garter);
    client.send(request4(Command.bind, '127.0.0.1', 0));
    await client.expect('00 5b');
    await garter.record({ command: 'bind', end: 'upstream:bind:address-type' });
  });

  test('a second reply without a peer is accepted if the peer was named', async () => {
    const second = reply5('0.0.0.0', 0);
    await using server = await startScripted(reply5('127.0.0.1', 4321), second);
    await using garter = await near(`"socks5h://${at(server)}"`);
    using named = await bind(garter, '127.0.0.1');
    server.more();
    await named.client.expect(second);
    server.more();
  });

  test('a second reply without a peer is refused if the rules must decide on the peer', async () => {
    await using server = await startScripted(reply5('127.0.0.1', 4321), reply5('0.0.0.0', 0));
    await using garter = await near(`"socks5h://${at(server)}"`);
    using bound = await bind(garter, '0.0.0.0');
    server.more();
    await bound.client.expect('05 02 00');
  });

  test('a server that accepts the wrong peer', async () => {
    await using server = await startScripted(reply5('127.0.0.1', 4321), reply5('127.0.0.9', 999));
    await using garter = await near(`"socks5h://${at(server)}"`);
    using bound = await bind(garter, '127.0.0.1');
    server.more();
    await bound.client.expect('05 01 00');
    await garter.record({ command: 'bind', end: 'target:bind:wrong-peer', address: '127.0.0.9:999' });
  });

  test('a server that refuses, or closes, after the first reply', async () => {
    await using refusing = await startScripted(reply5('127.0.0.1', 4321), reply5('0.0.0.0', 0, 5));
    await using one = await near(`"socks5h://${at(refusing)}"`);
    using refused = await bind(one, '127.0.0.1');
    refusing.more();
    await refused.client.expect('05 05 00');
    await one.record({ command: 'bind', end: 'target:bind:reply-5' });

    await using closing = await startScripted(reply5('127.0.0.1', 4321));
    await using other = await near(`"socks5h://${at(closing)}"`);
    using closed = await bind(other, '127.0.0.1');
    closing.more();
    await closed.client.expect('05 01 00');
    await other.record({ command: 'bind', end: 'upstream:bind:closed' });
  });

  test('the second reply never comes: our own time-out ends the request', async () => {
    await using server = await startScripted(reply5('127.0.0.1', 4321));
    await using garter = await near(`"socks5h://${at(server)}"`);
    using bound = await bind(garter, '127.0.0.1');
    await bound.client.expect('05 06 00');
    await garter.record({ command: 'bind', end: 'timeout:bind' });
  });

  test('the time-out of the upstream is passed on', async () => {
    await using garter = await near(`"socks5h://${at(far)}"`);
    using bound = await bind(garter, '127.0.0.1');
    await bound.client.expect('05 06 00');
    await garter.record({ command: 'bind', end: 'target:bind:reply-6' });
  });

  test('the client disconnects: the port is closed', async () => {
    await using garter = await near(`"socks5h://${at(far)}"`);
    using bound = await bind(garter, '127.0.0.1');
    bound.client.end();
    await garter.record({ command: 'bind', bound: at(bound.place), end: 'client:bind' });
    await far.record({ command: 'bind', bound: at(bound.place) });
    await assert.rejects(RawClient.connect(bound.place), { code: 'ECONNREFUSED' });
  });

  test('egress: the port is at the address of the route', async () => {
    await using garter = await startGarter({
      config: `
rules: [{ name: all, allow: any, to: [loopback] }]
routes: [{ to: [any], via: direct, egress: 127.0.0.8 }]`,
    });
    using bound = await bind(garter, '127.0.0.1');
    assert.equal(bound.place.host, '127.0.0.8');
  });
});
