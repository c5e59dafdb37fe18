import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, suite, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { type Garter, OPEN, reload, startGarter } from '../support/garter.ts';
import { address as record, response, startNameServer, type NameServer } from '../support/name-server.ts';
import { startLiar } from '../support/liar.ts';
import { until } from '../support/process.ts';
import { address, Command, replyCode, request5 } from '../support/raw.ts';
import { at, startDatagramEcho, startTarget, type Target } from '../support/targets.ts';

interface Place {
  readonly host: string;
  readonly port: number;
}

/** Waits until the log contains dropped datagrams with these fields. */
function dropped(garter: Garter, fields: Readonly<Record<string, string | number>>): Promise<unknown> {
  return until(
    async () => (await garter.log()).find((line) => isDeepStrictEqual({ ...line, ...fields }, line)),
    () => `no line with ${JSON.stringify(fields)}`,
  );
}

suite('UDP ASSOCIATE through upstreams', () => {
  const resources = new AsyncDisposableStack();
  let names: NameServer;
  let echo: Target;
  let client: Datagrams;
  /** Only the last one can resolve names. */
  let far: Garter;
  let middle: Garter;
  let first: Garter;
  before(async () => {
    names = resources.use(
      await startNameServer((asked) => [
        asked.name.endsWith('far.test') && asked.type === 'A'
          ? response(asked, { answers: [record(asked.name, '127.0.0.1')] })
          : response(asked, { rcode: asked.name.endsWith('far.test') ? 0 : 3 }),
      ]),
    );
    const nameless = resources.use(await startNameServer((asked) => [response(asked, { rcode: 3 })]));
    echo = resources.use(await startDatagramEcho());
    client = resources.use(await Datagrams.bind('127.0.0.1'));
    const start = async (server: NameServer): Promise<Garter> =>
      resources.use(
        await startGarter({
          listener: ['protocols: [socks5, socks4, http]'],
          config: `
rules: [{ name: closed, deny: udp, to: [any], port: [9] }, { name: open, allow: any, to: [loopback, any] }]
resolve: { servers: ["127.0.0.1:${server.endpoint.port}"] }`,
        }),
      );
    far = await start(names);
    middle = await start(nameless);
    first = await start(nameless);
  });
  after(() => resources.disposeAsync());

  const near = (routes: string, rest = ''): Promise<Garter> =>
    startGarter({
      config: `
${OPEN}
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"] }
timeouts: { connect: 5s }
routes: [${routes}]
${rest}`,
    });
  const by = (way: string): Promise<Garter> => near('{ to: [any], via: way }', `upstreams: { way: ${way} }`);
  let count = 0;
  /** Sends a datagram there and back; lost ones are not sent again. */
  const echoes = async (relay: Place, to: Place, size = 0): Promise<Buffer> => {
    const data = Buffer.from(`datagram ${count++}${'.'.repeat(size)}`);
    await client.send(frame(to, data), relay);
    const answer = await client.receive();
    assert.deepEqual(answer.data, frame(echo, data));
    return data;
  };

  for (const scheme of ['socks5', 'socks5h']) {
    test(`${scheme}: there and back, by address and by name`, async () => {
      await using garter = await near(`{ to: [any], via: "${scheme}://${at(far)}" }`);
      const sent = names.asked.length;
      using association = await associate(garter);
      await echoes(association.relay, echo);
      await echoes(association.relay, { host: 'far.test', port: echo.port }, 1200);
      await echoes(association.relay, echo, 40_000);
      association[Symbol.dispose]();
      const own = await garter.record({ command: 'udp', end: 'client:relay' });
      assert.equal(own.route, `${scheme}://${at(far)}`);
      assert.equal(own.sent, own.received);
      assert.ok(own.sent > 40_000);
      const theirs = await far.record({ command: 'udp', sent: own.sent, received: own.received });
      assert.equal(theirs.end, 'client:relay');
      assert.ok(names.asked.length > sent);
    });
  }

  test('three hops: a name that only the last one can resolve', async () => {
    await using garter = await startGarter({
      config: `
${OPEN}
resolve: { servers: ["127.0.0.1:1"] }
routes: [{ to: [any], via: way }]
upstreams: { way: { chain: ["socks5h://${at(first)}", "socks5h://${at(middle)}", "socks5h://${at(far)}"] } }`,
    });
    using association = await associate(garter);
    await echoes(association.relay, { host: 'far.test', port: echo.port });
    await echoes(association.relay, { host: 'other.far.test', port: echo.port }, 9000);
    await echoes(association.relay, echo);
    association[Symbol.dispose]();
    const { route, sent } = await garter.record({ command: 'udp' });
    assert.equal(route, `way/${at(first)}/${at(middle)}/${at(far)}`);
    await far.record({ command: 'udp', sent });
    await middle.record({ command: 'udp', end: 'client:relay' });
    await first.record({ command: 'udp', end: 'client:relay' });
  });

  test('six hops: a datagram with more headers than there is room for', async () => {
    const hops = [first, middle, far, first, middle, far].map((one) => `"socks5h://${at(one)}"`);
    await using garter = await by(`{ chain: [${hops.join(', ')}] }`);
    using association = await associate(garter);
    await echoes(association.relay, { host: 'far.test', port: echo.port });
    await echoes(association.relay, { host: 'far.test', port: echo.port }, 3000);
  });

  test('each destination uses its own route, and a group uses one member for all', async () => {
    await using elsewhere = await startDatagramEcho('127.0.0.7');
    await using garter = await near(
      '{ to: [127.0.0.7], via: direct, egress: 127.0.0.8 }, { to: [.test], via: way }, { to: [127.0.0.1], via: way }',
      `upstreams: { way: { choose: random, servers: ["http://${at(middle)}", "socks5h://127.0.0.1:1", "socks5h://${at(far)}"] } }`,
    );
    using association = await associate(garter);
    const { relay } = association;
    for (let i = 0; i < 3; i++) {
      await echoes(relay, { host: `${i}.far.test`, port: echo.port });
      await client.send(frame(elsewhere, 'direct'), relay);
      assert.deepEqual((await client.receive()).data, frame(elsewhere, 'direct'));
    }
    await echoes(relay, echo);
    await client.send(frame({ host: '127.0.0.6', port: 5 }, 'no route'), relay);
    association[Symbol.dispose]();
    const { sent, route } = await garter.record({ command: 'udp' });
    assert.equal(route, `way/${at(far)},direct`);
    const theirs = await far.record({
      command: 'udp',
      end: 'client:relay',
      sent: sent - 3 * 'direct'.length,
    });
    assert.equal(theirs.received, theirs.sent);
    await dropped(garter, { refused: 1 });
  });

  test('egress: datagrams leave from the address of the route', async () => {
    const target = createSocket('udp4');
    target.bind(0, '127.0.0.1');
    await once(target, 'listening');
    await using garter = await near('{ to: [any], via: direct, egress: 127.0.0.8 }');
    using association = await associate(garter);
    const come = once(target, 'message');
    await client.send(frame({ host: '127.0.0.1', port: target.address().port }, 'whence'), association.relay);
    const [data, from] = await come;
    assert.equal(String(data), 'whence');
    assert.equal(from.address, '127.0.0.8');
    target.close();
  });

  for (const kind of ['http', 'socks4', 'socks4a']) {
    test(`${kind} does not support it: reply 7`, async () => {
      await using garter = await by(`{ chain: ["socks5h://${at(far)}", "${kind}://${at(middle)}"] }`);
      assert.equal(await replyCode(garter, request5(Command.associate, '0.0.0.0', 0)), 7);
      await garter.record({ command: 'udp', end: 'upstream:request:command' });
    });
  }

  test('an encrypted link: reply 7, unless datagrams may be sent in clear', async () => {
    const hops = `chain: ["socks5h://${at(far)}", "socks5h+tls://127.0.0.1:1"]`;
    await using careful = await by(`{ ${hops}, udp: refuse }`);
    assert.equal(await replyCode(careful, request5(Command.associate, '0.0.0.0', 0)), 7);
    await careful.record({ command: 'udp', end: 'upstream:request:encrypted' });
    await using garter = await by(`{ ${hops}, udp: clear }`);
    using association = await associate(garter);
    await client.send(frame(echo, 'nobody is there'), association.relay);
    await dropped(garter, { reason: 'upstream:request:reply-5' });
  });

  test('if some route can carry datagrams, only those of other routes are dropped', async () => {
    await using garter = await near(
      `{ to: [far.test], via: "http://${at(far)}" }, { to: [any], via: "socks5h://${at(far)}" }`,
    );
    using association = await associate(garter);
    await client.send(frame({ host: 'far.test', port: echo.port }, 'cannot'), association.relay);
    await echoes(association.relay, echo);
    association[Symbol.dispose]();
    await garter.record({ command: 'udp', dropped: 'command:1' });
  });

  test('datagrams that the far end refuses are lost', async () => {
    await using garter = await by(`"socks5h://${at(far)}"`);
    using association = await associate(garter);
    await client.send(frame({ host: 'far.test', port: 9 }, 'refused there'), association.relay);
    await echoes(association.relay, echo);
  });

  test('a server without UDP: the datagrams are dropped', async () => {
    await using refusing = await startTarget((socket) => {
      socket.once('data', () => {
        socket.write(Buffer.of(5, 0));
        socket.once('data', () => socket.end(Buffer.of(5, 7, 0, 1, 0, 0, 0, 0, 0, 0)));
      });
    });
    await using garter = await by(`"socks5h://${at(refusing)}"`);
    using association = await associate(garter);
    await client.send(frame(echo, 'nowhere'), association.relay);
    await dropped(garter, { reason: 'target:request:reply-7' });
    association[Symbol.dispose]();
    await garter.record({ command: 'udp', dropped: 'reply-7:1' });
  });

  test('a reassembled datagram that becomes too long with the header of the upstream is dropped', async () => {
    await using garter = await by(`"socks5h://${at(far)}"`);
    using association = await associate(garter);
    const { relay } = association;
    const to = { host: `${'n'.repeat(60)}.`.repeat(4).slice(0, 243) + '.far.test', port: echo.port };
    await client.send(frame(to, Buffer.alloc(60_000), 1), relay);
    await client.send(frame(to, Buffer.alloc(65_507 - 60_000), 0x82), relay);
    await echoes(relay, { host: 'far.test', port: echo.port });
    association[Symbol.dispose]();
    await garter.record({ command: 'udp', dropped: 'EMSGSIZE:1' });
  });

  test('the upstream association is lost: the next datagram opens another', async () => {
    using relay = await Datagrams.bind('127.0.0.1');
    await using server = await startLiar(relay);
    await using garter = await by(`"socks5://${at(server)}"`);
    using association = await associate(garter);
    for (let i = 1; i <= 3; i++) {
      await client.send(frame(echo, `number ${i}`), association.relay);
      assert.deepEqual((await relay.receive()).data, frame(echo, `number ${i}`));
      assert.equal(server.count, i);
      for (const socket of server.open) socket.destroy();
      await until(
        async () => server.open.size === 0,
        () => 'it stays open',
      );
    }
    association[Symbol.dispose]();
  });

  test('one of two upstream associations is lost while the other is being opened', async () => {
    using relay = await Datagrams.bind('127.0.0.1');
    await using server = await startLiar(relay, true);
    await using garter = await by(`{ chain: ["socks5h://${at(server)}", "socks5h://${at(server)}"] }`);
    using association = await associate(garter);
    await client.send(frame(echo, 'perhaps'), association.relay);
    let port = 7000;
    const isThere = async (): Promise<true | undefined> => {
      await client.send(frame({ host: '127.0.0.1', port: port++ }, 'surely'), association.relay);
      let come = false;
      while (relay.waiting > 0) if ((await relay.receive()).data.includes('surely')) come = true;
      return (come && server.count === 4) || undefined;
    };
    await until(isThere, () => `nothing arrives by the second association; ${server.count} connections`);
  });

  test('the upstream association ends with that of the client', async () => {
    using relay = await Datagrams.bind('127.0.0.1');
    await using server = await startLiar(relay);
    await using garter = await by(`"socks5://${at(server)}"`);
    using association = await associate(garter);
    await client.send(frame(echo, 'one'), association.relay);
    await relay.receive();
    assert.equal(server.open.size, 1);
    association[Symbol.dispose]();
    await until(
      () => server.open.size === 0,
      () => 'it stays open',
    );
  });

  test('0.0.0.0 is the address of the server; only answers from its relay and from known destinations are accepted', async () => {
    using relay = await Datagrams.bind('127.0.0.1');
    using stranger = await Datagrams.bind('127.0.0.1');
    await using server = await startLiar({ host: '0.0.0.0', port: relay.port });
    await using garter = await by(`"socks5h://${at(server)}"`);
    using association = await associate(garter);
    await client.send(frame({ host: 'far.test', port: 7000 }, 'by name'), association.relay);
    await relay.receive();
    await client.send(frame(echo, 'by address'), association.relay);
    const { port } = await relay.receive();
    const to = { host: '127.0.0.1', port };
    await stranger.send(frame(echo, 'not from the relay'), to);
    await relay.send(frame({ host: '203.0.113.1', port: 7001 }, 'not from who was asked'), to);
    await relay.send(frame({ host: '203.0.113.1', port: echo.port }, 'nor this'), to);
    await relay.send(frame(echo, 'a fragment', 1), to);
    await relay.send(Buffer.of(0, 0, 0), to);
    await relay.send(Buffer.from('no header at all'), to);
    await relay.send(frame({ host: '203.0.113.1', port: 7000 }, 'from whoever that name is'), to);
    await relay.send(frame(echo, 'asked'), to);
    const got = [await client.receive(), await client.receive()].map(({ data }) => data);
    assert.deepEqual(got, [
      frame({ host: '203.0.113.1', port: 7000 }, 'from whoever that name is'),
      frame(echo, 'asked'),
    ]);
    association[Symbol.dispose]();
    await dropped(garter, { unasked: 6 });
  });

  for (const host of ['', '\0', 'localhost', 'relay.example.org', '::']) {
    test(`${JSON.stringify(host)} is the address of the server`, async () => {
      using relay = await Datagrams.bind('127.0.0.1');
      await using server = await startLiar({ host, port: relay.port });
      await using garter = await by(`"socks5h://${at(server)}"`);
      using association = await associate(garter);
      await client.send(frame(echo, 'there'), association.relay);
      const { data, port } = await relay.receive();
      assert.deepEqual(data, frame(echo, 'there'));
      await relay.send(frame(echo, 'back'), { host: '127.0.0.1', port });
      assert.deepEqual((await client.receive()).data, frame(echo, 'back'));
    });
  }

  for (const [host, family] of [
    ['127.0.0.1', 4],
    ['::1', 6],
  ] as const) {
    test(`unspecified addresses have the family of the connection to ${host}`, async () => {
      using relay = await Datagrams.bind(host);
      const asked: string[] = [];
      await using server = await startTarget((socket) => {
        socket.on('data', (bytes: Buffer) => {
          if (bytes.length === 3) return socket.write(Buffer.of(5, 0));
          asked.push(bytes.toString('hex'));
          return socket.write(Buffer.concat([Buffer.of(5, 0, 0), address(relay.host, relay.port)]));
        });
      }, host);
      const url = `"socks5h://${host.includes(':') ? `[${host}]` : host}:${server.port}"`;
      for (const [way, hops] of [
        [url, 1],
        [`{ chain: [${url}, ${url}] }`, 2],
      ] as const) {
        asked.length = 0;
        await using garter = await by(way);
        using association = await associate(garter);
        await client.send(frame(echo, 'there'), association.relay);
        await relay.receive();
        const unspecified = family === 4 ? '01'.padEnd(10, '0') : '04'.padEnd(34, '0');
        const associations = asked.filter((hex) => hex.startsWith('050300'));
        assert.deepEqual(
          associations,
          Array.from({ length: hops }, () => `050300${unspecified}0000`),
        );
      }
    });
  }

  test('two hops: one header for each, and answers that do not pass both are dropped', async () => {
    using relay = await Datagrams.bind('127.0.0.1');
    await using server = await startLiar(relay);
    await using garter = await by(`{ chain: ["socks5h://${at(server)}", "socks5h://${at(server)}"] }`);
    using association = await associate(garter);
    await client.send(frame(echo, 'there'), association.relay);
    const { data, port } = await relay.receive();
    assert.deepEqual(data, frame(relay, frame(echo, 'there')));
    assert.equal(server.open.size, 2);
    const to = { host: '127.0.0.1', port };
    await relay.send(frame(echo, 'by one'), to);
    await relay.send(frame({ host: '127.0.0.1', port: 4 }, frame(echo, 'by another')), to);
    await relay.send(frame({ host: '127.0.0.9', port: relay.port }, frame(echo, 'by another')), to);
    await relay.send(frame(relay, frame(echo, 'back')), to);
    assert.deepEqual((await client.receive()).data, frame(echo, 'back'));
  });

  test('a relay at another address of this machine is refused', async () => {
    using stranger = await Datagrams.bind('127.0.0.9');
    await using server = await startLiar(stranger);
    await using garter = await by(`"socks5h://${at(server)}"`);
    using association = await associate(garter);
    await client.send(frame(echo, 'astray'), association.relay);
    await dropped(garter, { reason: 'upstream:request:relay-address' });
    assert.equal(stranger.waiting, 0);
  });

  test('replies: any', async () => {
    using relay = await Datagrams.bind('127.0.0.1');
    await using server = await startLiar(relay);
    await using garter = await startGarter({
      listener: ['udp: { replies: any }'],
      config: `
rules: [{ name: all, allow: any, to: [loopback] }]
routes: [{ to: [any], via: "socks5://${at(server)}" }]`,
    });
    using association = await associate(garter);
    await client.send(frame(echo, 'one'), association.relay);
    const { port } = await relay.receive();
    const stranger = { host: '203.0.113.1', port: 7001 };
    await relay.send(frame(stranger, 'unasked'), { host: '127.0.0.1', port });
    assert.deepEqual((await client.receive()).data, frame(stranger, 'unasked'));
  });

  test('after a reload, destinations that are no longer allowed can no longer answer, by name or by address', async () => {
    using relay = await Datagrams.bind('127.0.0.1');
    await using server = await startLiar(relay);
    const config = (rules: string): string => `
rules: [${rules}{ name: all, allow: any, to: [any, loopback] }]
routes: [{ to: [any], via: "socks5h://${at(server)}" }]`;
    await using garter = await startGarter({ config: config('') });
    using association = await associate(garter);
    const gone = { host: 'gone.test', port: 7000 };
    const stays = { host: 'stays.test', port: 7001 };
    await client.send(frame(gone, 'one'), association.relay);
    await relay.receive();
    await client.send(frame(stays, 'one'), association.relay);
    const to = { host: '127.0.0.1', port: (await relay.receive()).port };
    await reload(garter, (text) =>
      text.replace(config(''), config('{ name: no, deny: any, to: [gone.test] }, ')),
    );
    await relay.send(frame({ host: '203.0.113.1', port: gone.port }, 'gone'), to);
    await relay.send(frame({ host: '203.0.113.1', port: stays.port }, 'stays'), to);
    assert.equal((await client.receive()).data.subarray(10).toString(), 'stays');
    await client.send(frame(gone, 'two'), association.relay);
    await client.send(frame(stays, 'two'), association.relay);
    assert.deepEqual((await relay.receive()).data, frame(stays, 'two'));
  });
});
