import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { associate, Datagrams, frame, type Association } from '../support/datagrams.ts';
import { OPEN, reload, startGarter, type Garter } from '../support/garter.ts';
import { Command, RawClient, request5 } from '../support/raw.ts';
import { until } from '../support/process.ts';

/** A port that is hardly in use: the system hands out higher ones. */
function somePort(): number {
  return 20_000 + Math.floor(Math.random() * 12_000);
}

async function start(port: number, more = ''): Promise<Garter> {
  return startGarter({ listener: [`udp: { port: ${port}${more} }`], config: OPEN });
}

/** A client at an address, and the socket that it sends from. */
class Client implements Disposable {
  readonly association: Association;
  readonly socket: Datagrams;

  static async open(garter: Garter, host = '127.0.0.1', declares = false): Promise<Client> {
    const socket = await Datagrams.bind(host);
    const from = { host, port: declares ? socket.port : 0 };
    const by = await RawClient.connect(garter, host);
    return new Client(await associate(garter, declares ? from : undefined, undefined, by), socket);
  }

  private constructor(association: Association, socket: Datagrams) {
    this.association = association;
    this.socket = socket;
  }

  /** Sends to the target; returns the port that it came from. */
  async send(text: string, target: Datagrams): Promise<number> {
    await this.socket.send(frame(target, text), this.association.relay);
    const { data, port } = await target.receive();
    assert.equal(data.toString(), text);
    return port;
  }

  /** Sends there and back. */
  async works(text: string, target: Datagrams): Promise<void> {
    const port = await this.send(text, target);
    await target.send(Buffer.from(text.toUpperCase()), { host: '127.0.0.1', port });
    const { data, port: from } = await this.socket.receive();
    assert.equal(from, this.association.relay.port);
    assert.deepEqual(data, frame(target, text.toUpperCase()));
  }

  [Symbol.dispose](): void {
    this.association[Symbol.dispose]();
    this.socket[Symbol.dispose]();
  }
}

/** The reply to UDP ASSOCIATE. */
async function replyTo(garter: Garter, host: string, port: number): Promise<number> {
  using client = await RawClient.connect(garter);
  client.send('05 01 00', request5(Command.associate, host, port));
  await client.expect('05 00 05');
  return (await client.read(1))[0]!;
}

suite('one UDP port for all associations', () => {
  test("it can be the listener's own number, and is free again without associations", async () => {
    const port = somePort();
    await using garter = await startGarter({
      listener: [`\n  - { address: "127.0.0.1:${port}", udp: { port: ${port} } }`],
      config: `workers: auto\n${OPEN}`,
    });
    using target = await Datagrams.bind('127.0.0.1');
    {
      const own = { ...garter, host: '127.0.0.1', port };
      using client = await Client.open(own);
      assert.equal(client.association.relay.port, port);
      await client.works('hello', target);
      // It is one of garter's own ports.
      await client.socket.send(frame({ host: '127.0.0.1', port }, 'loop'), client.association.relay);
      await client.works('again', target);
    }
    await garter.record({ command: 'udp', dropped: 'refused:1' });
    const started = await until(
      async () => (await garter.log()).find(({ event }) => event === 'started'),
      () => 'not started',
    );
    assert.partialDeepStrictEqual(started, { workers: 1 });
    assert.equal(await replyTo({ ...garter, port }, '0.0.0.0', 0), 0);
  });

  test('each client is recognised by its address, whatever its port', async () => {
    await using garter = await start(somePort());
    using target = await Datagrams.bind('127.0.0.1');
    using other = await Datagrams.bind('127.0.0.1');
    using one = await Client.open(garter, '127.0.0.2');
    using two = await Client.open(garter, '127.0.0.3');
    assert.equal(one.association.relay.port, two.association.relay.port);
    for (const text of ['a', 'b', 'c']) {
      await one.works(text, target);
      await two.works(text, other);
    }
    assert.equal(one.socket.waiting + two.socket.waiting, 0);
  });

  test('behind one address, each further client has to declare its port', async () => {
    await using garter = await start(somePort());
    using target = await Datagrams.bind('127.0.0.1');
    {
      using one = await Client.open(garter);
      assert.equal(await replyTo(garter, '0.0.0.0', 0), 2);
      await garter.record({ end: 'policy:request:declared-port' });
      using two = await Client.open(garter, '127.0.0.1', true);
      await two.works('two', target);
      await one.works('one', target);
      await two.works('two again', target);
      // It does not matter with which address it comes: behind a NAT, clients know only their inner one.
      using inner = await Datagrams.bind('127.0.0.1');
      assert.equal(await replyTo(garter, '192.0.2.1', inner.port), 0);
      // Of a further one the hint counts too, but not that of another.
      using three = await Datagrams.bind('127.0.0.1');
      assert.equal(await replyTo(garter, '0.0.0.0', three.port), 0);
      for (const { socket } of [one, two]) {
        assert.equal(await replyTo(garter, '127.0.0.1', socket.port), 2);
        await garter.record({ end: 'policy:request:port-conflict' });
      }
    }
    // With the others gone, one alone need not declare anything.
    await until(
      async () => (await replyTo(garter, '0.0.0.0', 0)) === 0,
      () => 'still refused',
    );
  });

  test('strangers are dropped and counted, and do no harm', async () => {
    const port = somePort();
    await using garter = await start(port);
    using target = await Datagrams.bind('127.0.0.1');
    using client = await Client.open(garter, '127.0.0.1', true);
    await client.works('before', target);
    const { relay } = client.association;
    using neighbour = await Datagrams.bind('127.0.0.1');
    using foreigner = await Datagrams.bind('127.0.0.4');
    for (let i = 0; i < 20; i++) {
      await foreigner.send(frame(target, 'foreign'), relay);
      await neighbour.send(frame(target, 'near'), relay);
      await client.socket.send(Buffer.from('junk'), relay);
    }
    await client.works('after', target);
    assert.equal(target.waiting, 0);
    client.association.control.end();
    const { dropped } = await garter.record({ command: 'udp' });
    assert.match(dropped ?? '', /^stranger:\d+,malformed:20$/);
  });

  test('a reload moves later associations to another port', async () => {
    const [before, after] = [somePort(), somePort()];
    await using garter = await start(before);
    using target = await Datagrams.bind('127.0.0.1');
    using old = await Client.open(garter);
    await old.works('old', target);
    await reload(garter, (text) => text.replace(`port: ${before}`, `port: ${after}`));
    using later = await Client.open(garter);
    assert.equal(later.association.relay.port, after);
    await later.works('new', target);
    await old.works('old still', target);
  });

  test('declared-port: require', async () => {
    await using garter = await start(somePort(), ', declared-port: require');
    using target = await Datagrams.bind('127.0.0.1');
    assert.equal(await replyTo(garter, '0.0.0.0', 0), 2);
    using client = await Client.open(garter, '127.0.0.1', true);
    await client.works('declared', target);
  });

  test('a port that another program has', async () => {
    using taken = await Datagrams.bind('127.0.0.1');
    await using garter = await start(taken.port);
    assert.equal(await replyTo(garter, '0.0.0.0', 0), 1);
    await garter.record({ end: 'internal:bind:EADDRINUSE' });
  });

  test('several threads do not take it over', async () => {
    await using garter = await startGarter({ config: `workers: auto\n${OPEN}` });
    const started = await until(
      async () => (await garter.log()).find(({ event }) => event === 'started'),
      () => 'not started',
    );
    const isAlone = isDeepStrictEqual({ ...started, workers: 1 }, started);
    const said = isAlone ? 'reloaded' : 'not-reloaded';
    const add = `$1\n    udp: { port: ${somePort()} }`;
    await reload(garter, (text) => text.replace(/(address: .*)/, add), said);
    assert.equal(await replyTo(garter, '0.0.0.0', 0), 0);
  });
});
