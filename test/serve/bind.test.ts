import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { startGarter, type Garter } from '../support/garter.ts';
import { Command, formatHex, RawClient, readAddress, replyCode, request4, request5 } from '../support/raw.ts';

suite('BIND', () => {
  let garter: Garter;
  before(async () => {
    garter = await startGarter({ config: 'timeouts: { bind: 2s }' });
  });
  after(() => garter[Symbol.asyncDispose]());

  /** Goes as far as the first reply: `at` is where the peer has to connect to. */
  const bind5 = async (host: string): Promise<Bound> => {
    const client = await RawClient.connect(garter);
    client.send('05 01 00', request5(Command.bind, host, 0));
    await client.expect('05 00  05 00 00');
    return { client, at: await readAddress(client), [Symbol.dispose]: () => client[Symbol.dispose]() };
  };

  test('two replies, then bytes both ways', async () => {
    using bound = await bind5('127.0.0.1');
    const { client, at } = bound;
    using peer = await RawClient.connect(at);
    await client.expect('05 00 00');
    assert.deepEqual(await readAddress(client), { host: '127.0.0.1', port: peer.localPort });
    client.send(Buffer.from('out'));
    await peer.expect(Buffer.from('out'));
    peer.send(Buffer.from('back'));
    await client.expect(Buffer.from('back'));
    peer.end();
    client.end();
    assert.equal((await client.rest()).length, 0);
    await garter.record({ command: 'bind', bound: `${at.host}:${at.port}`, sent: 3, received: 4 });
  });

  test('a peer that speaks first and ends at once loses nothing', async () => {
    using bound = await bind5('127.0.0.1');
    const { client, at } = bound;
    using peer = await RawClient.connect(at);
    peer.send(Buffer.from('all of it'));
    peer.end();
    await client.expect('05 00 00');
    await readAddress(client);
    assert.equal((await client.rest()).toString(), 'all of it');
  });

  test('SOCKS5: a stranger is turned away and the right peer still comes in', async () => {
    using bound = await bind5('127.0.0.1');
    const { client, at } = bound;
    using stranger = await RawClient.connect(at, '127.0.0.2');
    await stranger.gone();
    using peer = await RawClient.connect(at);
    await client.expect('05 00 00');
    assert.deepEqual(await readAddress(client), { host: '127.0.0.1', port: peer.localPort });
  });

  test('SOCKS4: a stranger ends it with 91', async () => {
    using client = await RawClient.connect(garter);
    client.send(request4(Command.bind, '127.0.0.1', 0));
    const first = await client.read(8);
    assert.equal(formatHex(first.subarray(0, 2)), '00 5a');
    using stranger = await RawClient.connect(
      { host: first.subarray(4).join('.'), port: first.readUInt16BE(2) },
      '127.0.0.2',
    );
    const second = await client.rest();
    assert.equal(formatHex(second.subarray(0, 2)), '00 5b');
    assert.equal(second.length, 8);
    await stranger.gone();
  });

  test('nobody comes: a second reply says so when the time is over, and the port is closed', async () => {
    using bound = await bind5('127.0.0.1');
    const { client, at } = bound;
    const reply = await client.rest();
    assert.equal(formatHex(reply.subarray(0, 3)), '05 06 00');
    assert.equal(reply.length, 10);
    await garter.record({ command: 'bind', bound: `${at.host}:${at.port}`, end: 'timeout:bind' });
    await assert.rejects(RawClient.connect(at), { code: 'ECONNREFUSED' });
  });

  test('the client goes: the port is closed', async () => {
    using bound = await bind5('127.0.0.1');
    const { client, at } = bound;
    client.reset();
    await garter.record({ command: 'bind', bound: `${at.host}:${at.port}` });
    await assert.rejects(RawClient.connect(at), { code: 'ECONNREFUSED' });
  });
});

suite('BIND and the ports of a rule', () => {
  let garter: Garter;
  before(async () => {
    const rules = '{ name: ftp, allow: bind, to: [loopback], port: [20, 21] }';
    garter = await startGarter({ config: `timeouts: { bind: 5s }\nrules: [${rules}]` });
  });
  after(() => garter[Symbol.asyncDispose]());

  test('DST.PORT is what they judge, as RFC 1928 section 4 has it; the named host may come from any', async () => {
    assert.equal(await replyCode(garter, request5(Command.bind, '127.0.0.1', 22)), 2);
    using client = await RawClient.connect(garter);
    client.send('05 01 00', request5(Command.bind, '127.0.0.1', 21));
    await client.expect('05 00  05 00 00');
    using peer = await RawClient.connect(await readAddress(client));
    await client.expect('05 00 00');
    assert.deepEqual(await readAddress(client), { host: '127.0.0.1', port: peer.localPort });
  });

  test('where nobody is named, what the client says of a port counts for nothing: that of the peer is judged', async () => {
    using client = await RawClient.connect(garter);
    client.send('05 01 00', request5(Command.bind, '0.0.0.0', 21));
    await client.expect('05 00  05 00 00');
    const at = await readAddress(client);
    using stranger = await RawClient.connect(at);
    await stranger.gone();
    const peer = await connectFromPort(20, at);
    if (peer === undefined) return; // only root has port 20
    await client.expect('05 00 00');
    assert.deepEqual(await readAddress(client), { host: '127.0.0.1', port: 20 });
    peer.destroy();
  });
});

/** `undefined` where this user may not, or somebody else has it. */
async function connectFromPort(
  port: number,
  to: { host: string; port: number },
): Promise<Socket | undefined> {
  const socket = connect({ ...to, localPort: port });
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(socket)).once('error', () => resolve(undefined));
  });
}

interface Bound extends Disposable {
  readonly client: RawClient;
  readonly at: { readonly host: string; readonly port: number };
}
