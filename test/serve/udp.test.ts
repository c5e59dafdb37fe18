import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, before, suite, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { startGarter, type Garter } from '../support/garter.ts';
import { address, response, startNameServer, type NameServer } from '../support/name-server.ts';
import { until } from '../support/process.ts';
import { Command, replyCode, request5, works } from '../support/raw.ts';
import { at, closedPort, startEcho } from '../support/targets.ts';

suite('UDP ASSOCIATE', () => {
  const resources = new AsyncDisposableStack();
  let garter: Garter;
  let names: NameServer;
  /** The far end: receives datagrams, and answers when a test does so. */
  let target: Datagrams;
  let client: Datagrams;
  before(async () => {
    names = resources.use(
      await startNameServer((asked) => [
        response(asked, asked.type === 'A' ? { answers: [address(asked.name, '127.0.0.1')] } : {}),
      ]),
    );
    target = resources.use(await Datagrams.bind('127.0.0.1'));
    client = resources.use(await Datagrams.bind('127.0.0.1'));
    garter = resources.use(
      await startGarter({
        config: `
rules:
  - { name: no-nine, deny: udp, to: [any], port: [9] }
  - { name: local, allow: [udp, connect], to: [any, loopback] }
resolve: { servers: ["${names.endpoint.host}:${names.endpoint.port}"] }`,
      }),
    );
  });
  after(() => resources.disposeAsync());

  let count = 0;
  /** Sends a datagram, and checks that it is the next to arrive: nothing sent before was passed on. */
  const passes = async (
    to: { host: string; port: number },
    relay: Parameters<Datagrams['send']>[1],
  ): Promise<number> => {
    const text = `datagram ${String(count++).padStart(3, '0')}`;
    await client.send(frame(to, text), relay);
    const { data, port } = await target.receive();
    assert.equal(data.toString(), text);
    return port;
  };

  test('there and back, by address and by name; the answer carries the sender', async () => {
    using association = await associate(garter);
    const { relay } = association;
    for (const host of ['127.0.0.1', 'any-name.test']) {
      const port = await passes({ host, port: target.port }, relay);
      await target.send(Buffer.from('answer'), { host: '127.0.0.1', port });
      const { data } = await client.receive();
      assert.deepEqual(data, frame(target, 'answer'));
    }
  });

  test('IPv6, in an association over IPv4', async () => {
    using six = await Datagrams.bind('::1');
    using association = await associate(garter);
    const { relay } = association;
    await client.send(frame(six, 'to six'), relay);
    const { data, port } = await six.receive();
    assert.equal(data.toString(), 'to six');
    await six.send(Buffer.from('from six'), { host: '::1', port });
    assert.deepEqual((await client.receive()).data, frame(six, 'from six'));
  });

  test('only the client is accepted: not another address or port, neither before nor after it', async () => {
    using otherPort = await Datagrams.bind('127.0.0.1');
    using otherAddress = await Datagrams.bind('127.0.0.2');
    using association = await associate(garter);
    const { relay } = association;
    await otherAddress.send(frame(target, 'stranger, early'), relay);
    await passes(target, relay);
    // A different port at the same address is only a stranger once the client has sent again: before, it may
    // be the client.
    await delay(300);
    await passes(target, relay);
    await otherAddress.send(frame(target, 'stranger, late'), relay);
    await otherPort.send(frame(target, 'neighbour'), relay);
    const port = await passes(target, relay);
    assert.equal(target.waiting, 0);
    await target.send(Buffer.from('answer'), { host: '127.0.0.1', port });
    await client.receive();
    assert.equal(otherPort.waiting + otherAddress.waiting, 0);
  });

  test('if a client declares its port, only that port is accepted', async () => {
    using otherPort = await Datagrams.bind('127.0.0.1');
    using association = await associate(garter, client);
    const { relay } = association;
    await otherPort.send(frame(target, 'quicker neighbour'), relay);
    await passes(target, relay);
    assert.equal(target.waiting, 0);
  });

  test('a client that declares another address does not open the relay to it', async () => {
    using other = await Datagrams.bind('127.0.0.2');
    using association = await associate(garter, other);
    const { relay } = association;
    await other.send(frame(target, 'from the one named'), relay);
    await passes(target, relay);
    assert.equal(target.waiting, 0);
  });

  test('answers are only accepted from destinations of the client', async () => {
    using stranger = await Datagrams.bind('127.0.0.1');
    using association = await associate(garter);
    const { relay } = association;
    const port = await passes(target, relay);
    await stranger.send(Buffer.from('unasked'), { host: '127.0.0.1', port });
    await target.send(Buffer.from('asked'), { host: '127.0.0.1', port });
    assert.deepEqual((await client.receive()).data, frame(target, 'asked'));
    assert.equal(client.waiting, 0);
  });

  test('two associations of one client are separate', async () => {
    using second = await Datagrams.bind('127.0.0.1');
    using one = await associate(garter);
    using two = await associate(garter);
    assert.notEqual(one.relay.port, two.relay.port);
    await client.send(frame(target, 'one'), one.relay);
    const first = await target.receive();
    await second.send(frame(target, 'two'), two.relay);
    const other = await target.receive();
    assert.notEqual(first.port, other.port);
    await target.send(Buffer.from('to two'), { host: '127.0.0.1', port: other.port });
    assert.deepEqual((await second.receive()).data, frame(target, 'to two'));
    assert.equal(client.waiting, 0);
  });

  test('it ends with its connection, before the next client is served', async () => {
    const { control, relay } = await associate(garter);
    await passes(target, relay);
    control[Symbol.dispose]();
    {
      await using echo = await startEcho();
      await works(garter, echo);
      await garter.record({ command: 'connect', destination: at(echo) });
    }
    const { id } = await garter.record({
      command: 'udp',
      bound: `${relay.host}:${relay.port}`,
      end: 'client:relay',
    });
    const commands = (await garter.records()).map((record) => (record.id === id ? 'this' : record.command));
    assert.ok(commands.indexOf('this') < commands.lastIndexOf('connect'), commands.join(' '));
    await client.send(frame(target, 'too late'), relay);
    using next = await associate(garter);
    await passes(target, next.relay);
    assert.equal(target.waiting, 0);
  });

  test('faulty datagrams do not end it', async () => {
    using association = await associate(garter);
    const { relay } = association;
    const odd = [
      Buffer.of(),
      Buffer.of(0),
      Buffer.of(0, 0, 0),
      Buffer.of(0, 0, 0, 9, 1, 2, 3, 4, 5, 6),
      Buffer.of(0, 0, 0, 1, 127, 0),
      Buffer.of(0, 0, 0, 3, 255, 97),
      Buffer.of(0, 0, 0, 3, 0, 0, 80),
      Buffer.of(0, 0, 0, 3, 1, 0, 0, 80),
      Buffer.of(0, 0, 0, 4, 0, 0),
      Buffer.of(1, 1, 0, 1, 127, 0, 0, 1, 0, 0),
      Buffer.alloc(1024, 0xff),
      frame({ host: '127.0.0.1', port: 0 }, 'port 0'),
      frame({ host: '127.0.0.1', port: 9 }, 'denied by a rule'),
      frame({ host: '127.1', port: target.port }, 'a name that is a number'),
      frame({ host: '255.255.255.255', port: target.port }, 'broadcast'),
      frame({ host: '224.0.0.1', port: target.port }, 'multicast'),
      frame({ host: '::ffff:255.255.255.255', port: target.port }, 'broadcast in IPv6'),
      frame(relay, 'to the relay itself'),
    ];
    for (const datagram of odd) await client.send(datagram, relay);
    await passes(target, relay);
    association.control.end();
    const record = await garter.record({ command: 'udp', bound: `${relay.host}:${relay.port}` });
    assert.equal(record.sent, 'datagram 000'.length, 'nothing else got out');
    assert.equal(client.waiting, 0);
  });

  test('empty datagrams, and the largest that fit', async () => {
    using association = await associate(garter);
    const { relay } = association;
    await client.send(frame(target, ''), relay);
    assert.equal((await target.receive()).data.length, 0);
    const data = Buffer.alloc(65_507 - 10, 'x');
    await client.send(frame(target, data), relay);
    const { data: received, port } = await target.receive();
    assert.ok(received.equals(data));
    await target.send(data, { host: '127.0.0.1', port });
    assert.ok((await client.receive()).data.equals(frame(target, data)));
    // One that leaves no room for the header is dropped, and does not affect others.
    await target.send(Buffer.alloc(65_507), { host: '127.0.0.1', port });
    await target.send(Buffer.from('small'), { host: '127.0.0.1', port });
    assert.deepEqual((await client.receive()).data, frame(target, 'small'));
  });

  test('fragments are reassembled, but not out of order', async () => {
    using association = await associate(garter);
    const { relay } = association;
    const send = async (...pieces: readonly (readonly [number, string])[]): Promise<void> => {
      for (const [fragment, data] of pieces) await client.send(frame(target, data, fragment), relay);
    };
    await send([1, 'one '], [2, 'two '], [0x83, 'three']);
    assert.equal((await target.receive()).data.toString(), 'one two three');
    await send([1, 'lost'], [3, 'lost'], [0x84, 'lost']);
    await send([5, 'lost'], [2, 'lost']);
    await send([1, 'again '], [0x82, 'whole']);
    assert.equal((await target.receive()).data.toString(), 'again whole');
    assert.equal(target.waiting, 0);
  });

  test('an ICMP error does not end it', async () => {
    const { control, relay } = await associate(garter);
    const closed = { host: '127.0.0.1', port: await closedPort() };
    await client.send(frame(closed, 'nobody there'), relay);
    await passes(target, relay);
    await passes(target, relay);
    control[Symbol.dispose]();
    await garter.record({ command: 'udp', bound: `${relay.host}:${relay.port}` });
  });

  test('each destination is subject to the rules, and names are resolved by the configured name server', async () => {
    using association = await associate(garter);
    const { relay } = association;
    await client.send(frame({ host: 'nine.test', port: 9 }, 'denied'), relay);
    await passes({ host: 'nine.test', port: target.port }, relay);
    assert.ok(names.asked.some(({ name }) => name === 'nine.test'));
    assert.equal(target.waiting, 0);
  });

  test('20,000 destinations in one association', async () => {
    using association = await associate(garter);
    const { relay } = association;
    for (let i = 0; i < 20_000; i++) {
      const host = `127.${1 + (i >> 14)}.${(i >> 6) & 255}.${1 + (i & 63)}`;
      await client.send(frame({ host, port: 9 }, 'x'), relay);
    }
    await until(
      async () => {
        await client.send(frame(target, 'alive'), relay);
        return target.waiting > 0;
      },
      () => 'the association is dead',
    );
    while (target.waiting > 0) await target.receive();
  });
});

test('an idle association is ended', async () => {
  await using garter = await startGarter({ config: 'timeouts: { udp-idle: 1s }' });
  const { control } = await associate(garter);
  await control.gone();
  const { duration } = await garter.record({ command: 'udp', end: 'timeout:relay:idle' });
  assert.ok(duration >= 990, `${duration} ms`);
});

test('a full port range refuses requests, and a port that becomes free is used again', async (t: TestContext) => {
  const isFull = { command: 'udp', end: 'limit:bind:udp-ports' };
  await using garter = await startGarter({
    listener: ['udp: { ports: 20120-20123 }'],
    config: 'workers: 1',
  });
  // Another program on this machine has one of them; its TCP port does not matter.
  const others = createSocket('udp4');
  t.after(() => others.close());
  others.bindSync({ address: '127.0.0.1', port: 20_121 });
  const open = await Promise.all(Array.from({ length: 3 }, () => associate(garter)));
  const ports = open.map(({ relay }) => relay.port).toSorted((a, b) => a - b);
  assert.deepEqual(ports, [20_120, 20_122, 20_123]);
  for (let i = 0; i < 3; i++) {
    assert.equal(await replyCode(garter, request5(Command.associate, '0.0.0.0', 0)), 1);
    await garter.record(isFull);
  }
  open[1]!.control[Symbol.dispose]();
  await garter.record({ command: 'udp', end: 'client:relay' });
  using again = await associate(garter);
  assert.equal(again.relay.port, open[1]!.relay.port);
  for (const { control } of open) control[Symbol.dispose]();
});

test('the listener determines the advertised address and the port range', async () => {
  await using garter = await startGarter({
    listener: ['udp: { ports: 20100-20110, advertise: { "127.0.0.0/8": 127.0.0.9 } }'],
  });
  const { control, relay } = await associate(garter);
  assert.equal(relay.host, '127.0.0.9');
  assert.ok(relay.port >= 20_100 && relay.port <= 20_110);
  control[Symbol.dispose]();
  await garter.record({ command: 'udp' });
});
