import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGarter, type Garter } from '../support/garter.ts';
import { Command, formatHex, RawClient, readAddress, request4, request5 } from '../support/raw.ts';

suite('BIND', () => {
  let garter: Garter;
  before(async () => {
    garter = await startGarter({ config: 'timeouts: { bind: 2s }' });
  });
  after(() => garter[Symbol.asyncDispose]());

  /** Requests BIND up to the first reply: `at` is the address for the peer. */
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

  test('SOCKS5: a stranger is rejected, and the right peer can still connect', async () => {
    using bound = await bind5('127.0.0.1');
    const { client, at } = bound;
    using stranger = await RawClient.connect(at, '127.0.0.2');
    await stranger.gone();
    using peer = await RawClient.connect(at);
    await client.expect('05 00 00');
    assert.deepEqual(await readAddress(client), { host: '127.0.0.1', port: peer.localPort });
  });

  test('SOCKS4: a stranger ends the request with 91', async () => {
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

  test('no peer connects: after the time-out, a second reply reports it, and the port is closed', async () => {
    using bound = await bind5('127.0.0.1');
    const { client, at } = bound;
    const reply = await client.rest();
    assert.equal(formatHex(reply.subarray(0, 3)), '05 06 00');
    assert.equal(reply.length, 10);
    await garter.record({ command: 'bind', bound: `${at.host}:${at.port}`, end: 'timeout:bind' });
    await assert.rejects(RawClient.connect(at), { code: 'ECONNREFUSED' });
  });

  test('the client disconnects: the port is closed', async () => {
    using bound = await bind5('127.0.0.1');
    const { client, at } = bound;
    client.reset();
    await garter.record({ command: 'bind', bound: `${at.host}:${at.port}` });
    await assert.rejects(RawClient.connect(at), { code: 'ECONNREFUSED' });
  });
});

interface Bound extends Disposable {
  readonly client: RawClient;
  readonly at: { readonly host: string; readonly port: number };
}
