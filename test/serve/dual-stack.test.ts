import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { type Garter, OPEN, startGarter } from '../support/garter.ts';
import { address, response, startNameServer, type NameServer } from '../support/name-server.ts';
import { Command, connectThrough, RawClient, readAddress, request4, request5 } from '../support/raw.ts';
import { startEcho, startTarget } from '../support/targets.ts';

/**
 * A name with both families, the first of which may be unusable. What works for CONNECT also works for the
 * other commands.
 */
suite('a name with several addresses', () => {
  const resources = new AsyncDisposableStack();
  let names: NameServer;
  let garter: Garter;
  before(async () => {
    names = resources.use(
      await startNameServer((asked) => {
        const host = asked.type === 'A' ? '127.0.0.1' : '::1';
        const has = asked.name !== 'six.test' || asked.type === 'AAAA';
        return [response(asked, has ? { answers: [address(asked.name, host)] } : {})];
      }),
    );
    garter = resources.use(await start('127.0.0.1', '{ to: [any], via: direct, egress: 127.0.0.5 }'));
  });
  after(() => resources.disposeAsync());

  const start = (host: string, route: string): Promise<Garter> =>
    startGarter({
      host,
      config: `
${OPEN}
routes: [${route}]
timeouts: { bind: 5s }
resolve: { servers: ["${names.endpoint.host}:${names.endpoint.port}"] }`,
    });

  test('CONNECT from an egress of one family', async () => {
    await using echo = await startEcho();
    using client = await connectThrough(garter, { host: 'both.test', port: echo.port });
    client.send(Buffer.from('x'));
    await client.expect(Buffer.from('x'));
  });

  test('UDP from an egress of one family; datagrams to the other are counted in the record', async () => {
    using target = await Datagrams.bind('127.0.0.1');
    using client = await Datagrams.bind('127.0.0.1');
    using association = await associate(garter);
    await client.send(frame({ host: 'six.test', port: target.port }, 'nowhere'), association.relay);
    await client.send(frame({ host: 'both.test', port: target.port }, 'there'), association.relay);
    const { data, port } = await target.receive();
    assert.equal(data.toString(), 'there');
    await target.send(Buffer.from('back'), { host: '127.0.0.5', port });
    assert.deepEqual((await client.receive()).data, frame(target, 'back'));
    association[Symbol.dispose]();
    await garter.record({ command: 'udp', route: 'direct', dropped: 'EADDRNOTAVAIL:1' });
  });

  test('without dropped datagrams, the record has no count', async () => {
    using target = await Datagrams.bind('127.0.0.1');
    using client = await Datagrams.bind('127.0.0.1');
    using association = await associate(garter);
    await client.send(frame(target, 'there'), association.relay);
    await target.receive();
    association[Symbol.dispose]();
    const record = await garter.record({ command: 'udp', sent: 5 });
    assert.equal('dropped' in record, false);
  });

  test('BIND at an egress of one family, for a name and without a named peer', async () => {
    await using six = await start('::1', '{ to: [any], via: direct, egress: 127.0.0.5 }');
    for (const [proxy, host] of [
      [garter, 'both.test'],
      [six, 'both.test'],
      [six, '::'],
    ] as const) {
      using client = await RawClient.connect(proxy);
      client.send('05 01 00', request5(Command.bind, host, 0));
      await client.expect('05 00  05 00 00');
      const at = await readAddress(client);
      assert.equal(at.host, '127.0.0.5');
      using peer = await RawClient.connect(at);
      await client.expect('05 00 00');
      assert.deepEqual(await readAddress(client), { host: '127.0.0.1', port: peer.localPort });
    }
  });

  test('BIND by SOCKS4A, which can only carry IPv4', async () => {
    await using direct = await start('127.0.0.1', '{ to: [any], via: direct }');
    using client = await RawClient.connect(direct);
    client.send(request4(Command.bind, 'both.test', 0));
    await client.expect('00 5a');
    const port = (await client.read(2)).readUInt16BE();
    using peer = await RawClient.connect({ host: (await client.read(4)).join('.'), port });
    await client.expect('00 5a');
    assert.equal((await client.read(6)).readUInt16BE(), peer.localPort);
  });

  test('UDP through a server that takes addresses: the family of its relay is used', async () => {
    using target = await Datagrams.bind('127.0.0.1');
    using client = await Datagrams.bind('127.0.0.1');
    await using near = await start(
      '127.0.0.1',
      `{ to: [any], via: "socks5://${garter.host}:${garter.port}" }`,
    );
    using association = await associate(near);
    await client.send(frame({ host: 'both.test', port: target.port }, 'there'), association.relay);
    assert.equal((await target.receive()).data.toString(), 'there');
  });

  test('a chain whose second server is given by name, through a first one that takes addresses and has no IPv6', async () => {
    /** Both servers of the chain, and the target. */
    await using both = await startTarget((socket) => {
      socket.on('end', () => socket.end());
      socket.on('data', (message: Buffer) => {
        if (message[0] !== 5) socket.write(message);
        else if (message.length < 5) socket.write(Buffer.of(5, 0));
        else if (message[3] === 4) socket.end(Buffer.of(5, 3, 0, 1, 0, 0, 0, 0, 0, 0));
        else socket.write(Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
      });
    });
    const via = `{ chain: ["socks5://${both.host}:${both.port}", "socks5://both.test:1080"] }`;
    await using near = await start(
      '127.0.0.1',
      `{ to: [any], via: way }]\nupstreams: { way: ${via} }\naccept: [{ allow: true }`,
    );
    using client = await connectThrough(near, { host: '127.0.0.1', port: 9 });
    client.send(Buffer.from('x'));
    await client.expect(Buffer.from('x'));
  });
});
