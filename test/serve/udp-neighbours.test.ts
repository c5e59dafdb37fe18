import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { Authority } from '../support/authority.ts';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { makeDirectory } from '../support/directory.ts';
import { startGarter, type Garter } from '../support/garter.ts';
import { Command, replyCode, request5 } from '../support/raw.ts';

const RULES = 'rules: [{ name: local, allow: [udp, connect], to: [any, loopback] }]';
const CONFLICT = { command: 'udp', end: 'client:relay:port-conflict' };

/** A client that only knows its port. */
const unspecified = (port: number): { host: string; port: number } => ({ host: '0.0.0.0', port });

/**
 * Another program at the client's address, behind the same NAT or on the same machine, knows or guesses the
 * relay's port.
 */
suite("UDP ASSOCIATE and the client's neighbours", () => {
  const resources = new AsyncDisposableStack();
  let garter: Garter;
  let strict: Garter;
  let near: Garter;
  let target: Datagrams;
  let client: Datagrams;
  let neighbour: Datagrams;
  before(async () => {
    [target, client, neighbour] = [
      resources.use(await Datagrams.bind('127.0.0.1')),
      resources.use(await Datagrams.bind('127.0.0.1')),
      resources.use(await Datagrams.bind('127.0.0.1')),
    ];
    garter = resources.use(await startGarter({ config: RULES }));
    strict = resources.use(
      await startGarter({ listener: ['udp: { declared-port: require }'], config: RULES }),
    );
    near = resources.use(
      await startGarter({
        config: `${RULES}\nroutes: [{ to: [any], via: "socks5h://${garter.host}:${garter.port}" }]`,
      }),
    );
  });
  after(() => resources.disposeAsync());

  type Relay = Parameters<Datagrams['send']>[1];
  let count = 0;
  /** Sends a datagram, and checks that it is the next to arrive: nothing sent before was passed on. */
  const passes = async (from: Datagrams, relay: Relay): Promise<number> => {
    const text = `datagram ${count++}`;
    await from.send(frame(target, text), relay);
    const { data, port } = await target.receive();
    assert.equal(data.toString(), text);
    return port;
  };

  test('a neighbour that sweeps the ports before the client sends receives nothing, twenty times', async () => {
    for (let i = 0; i < 20; i++) {
      using association = await associate(garter);
      const { relay, control } = association;
      const exit = await passes(neighbour, relay);
      // Often enough to look settled.
      await passes(neighbour, relay);
      await delay(20);
      await client.send(frame(target, 'secret'), relay);
      await control.gone();
      await target.send(Buffer.from('answer'), { host: '127.0.0.1', port: exit });
      await garter.record({ ...CONFLICT, bound: `${relay.host}:${relay.port}` });
    }
    await delay(50);
    assert.equal(target.waiting + neighbour.waiting + client.waiting, 0);
  });

  test('the same over IPv6', async () => {
    await using six = await startGarter({ host: '::1', config: RULES });
    using first = await Datagrams.bind('::1');
    using second = await Datagrams.bind('::1');
    using association = await associate(six);
    await passes(first, association.relay);
    await second.send(frame(target, 'secret'), association.relay);
    await association.control.gone();
    await six.record(CONFLICT);
    assert.equal(target.waiting, 0);
  });

  test('the same over TLS', async () => {
    await using folder = await makeDirectory();
    const ca = await Authority.make(folder.path, 'ca');
    const { cert, key } = await ca.issue('server', { names: 'IP:127.0.0.1' });
    await using secure = await startGarter({
      listener: [`tls: { cert: ${cert}, key: ${key} }`],
      config: RULES,
    });
    const link = connect({ host: secure.host, port: secure.port, ca: await readFile(ca.cert) });
    const gone = new Promise((resolve) => link.on('error', () => {}).once('close', resolve));
    await once(link, 'secureConnect');
    link.write(Buffer.of(5, 1, 0));
    await once(link, 'data');
    link.write(request5(Command.associate, '0.0.0.0', 0));
    const [reply] = (await once(link, 'data')) as [Buffer];
    const relay = { host: '127.0.0.1', port: reply.readUInt16BE(8) };
    await passes(neighbour, relay);
    await client.send(frame(target, 'secret'), relay);
    await gone;
    await secure.record(CONFLICT);
    assert.equal(target.waiting, 0);
  });

  test('through an upstream: the upstream association ends too', async () => {
    using association = await associate(near);
    const exit = await passes(neighbour, association.relay);
    await client.send(frame(target, 'secret'), association.relay);
    await association.control.gone();
    await near.record(CONFLICT);
    await garter.record({ command: 'udp', end: 'client:relay' });
    await target.send(Buffer.from('answer'), { host: '127.0.0.1', port: exit });
    await delay(50);
    assert.equal(target.waiting + neighbour.waiting, 0);
  });

  test('data that no client would send is not a conflict', async () => {
    using association = await associate(garter);
    const { relay } = association;
    await passes(client, relay);
    await neighbour.send(Buffer.from('a port scan'), relay);
    await neighbour.send(Buffer.of(), relay);
    await passes(client, relay);
    assert.equal(target.waiting, 0);
  });

  test("once the client's port is settled, neighbours are dropped and counted", async () => {
    using association = await associate(garter);
    const { relay, control } = association;
    await passes(client, relay);
    await delay(300);
    await passes(client, relay);
    for (let i = 0; i < 3; i++) await neighbour.send(frame(target, 'neighbour'), relay);
    await passes(client, relay);
    assert.equal(target.waiting, 0);
    control.end();
    await garter.record({ command: 'udp', end: 'client:relay', bound: `${relay.host}:${relay.port}` });
  });

  test('with a declared port, a faster neighbour is not mistaken for the client', async () => {
    using own = await associate(garter, client);
    await neighbour.send(frame(target, 'neighbour'), own.relay);
    await passes(client, own.relay);
    using hinted = await associate(garter, unspecified(client.port));
    await passes(neighbour, hinted.relay);
    const exit = await passes(client, hinted.relay);
    await neighbour.send(frame(target, 'neighbour'), hinted.relay);
    await passes(client, hinted.relay);
    await target.send(Buffer.from('answer'), { host: '127.0.0.1', port: exit });
    assert.deepEqual((await client.receive()).data, frame(target, 'answer'));
    assert.equal(target.waiting + neighbour.waiting, 0);
  });

  test('a declared port that NAT has changed', async () => {
    for (const declared of [unspecified(1), { host: '192.0.2.1', port: 1 }]) {
      using association = await associate(garter, declared);
      await passes(client, association.relay);
      await passes(client, association.relay);
    }
  });

  test('with a required port, a request without one is refused', async () => {
    for (const host of ['0.0.0.0', '127.0.0.1', '::', 'client.test'])
      assert.equal(await replyCode(strict, request5(Command.associate, host, 0)), 2);
    await strict.record({ command: 'udp', end: 'policy:request:declared-port' });
  });

  test('with a required port, only that one is accepted', async () => {
    for (const declared of [client, unspecified(client.port), { host: '192.0.2.1', port: client.port }]) {
      using association = await associate(strict, declared);
      await neighbour.send(frame(target, 'neighbour'), association.relay);
      await passes(client, association.relay);
      await neighbour.send(frame(target, 'neighbour'), association.relay);
      await passes(client, association.relay);
    }
    assert.equal(target.waiting, 0);
  });
});
