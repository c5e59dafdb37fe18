import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { type Garter, OPEN, startGarter } from '../support/garter.ts';
import { address, response, startNameServer, type NameServer } from '../support/name-server.ts';
import { Command, connectThrough, RawClient, replyCode, request5, works } from '../support/raw.ts';
import { at, startEcho, startTarget, type Target } from '../support/targets.ts';

const CLOSED = 1; // a loopback port without a listener

/** A name server with one name, a loopback address. */
function startNames(name: string): Promise<NameServer> {
  return startNameServer((asked) => [
    asked.name === name && asked.type === 'A'
      ? response(asked, { answers: [address(name, '127.0.0.1')] })
      : response(asked, { rcode: asked.name === name ? 0 : 3 }),
  ]);
}

/** A server that sends the same reply to every request. */
function startRefusing(reply: number): Promise<Target> {
  return startTarget((socket) => {
    let messages = 0;
    socket.on('data', () => {
      if (messages++ === 0) socket.write(Buffer.of(5, 0));
      else socket.end(Buffer.of(5, reply, 0, 1, 0, 0, 0, 0, 0, 0));
    });
  });
}

const reply = (garter: Garter, host: string, port: number): Promise<number> =>
  replyCode(garter, request5(Command.connect, host, port));

suite('routes', () => {
  const resources = new AsyncDisposableStack();
  let echo: Target;
  let nearNames: NameServer;
  let farNames: NameServer;
  let far: Garter;
  let locked: Garter;
  before(async () => {
    echo = resources.use(await startEcho('127.0.0.1'));
    nearNames = resources.use(await startNames('near.test'));
    farNames = resources.use(await startNames('far.test'));
    far = resources.use(
      await startGarter({
        listener: ['protocols: [socks5, socks4, http]'],
        config: `
rules:
  - { name: closed, deny: any, to: [any], port: [9] }
  - { name: open, allow: any, to: [loopback, .test] }
resolve: { servers: ["127.0.0.1:${farNames.endpoint.port}"] }`,
      }),
    );
    locked = resources.use(
      await startGarter({
        listener: ['protocols: [socks5, http]'],
        users: { alice: 's3cret', bob: 'hunter2' },
        config: 'rules: [{ name: open, allow: any, to: [loopback] }]',
      }),
    );
  });
  after(() => resources.disposeAsync());

  /** A garter with these routes; its name server cannot resolve the names of the far end. */
  const near = (config: string, users?: Readonly<{ [name: string]: string }>): Promise<Garter> =>
    startGarter({
      config: `
${OPEN}
resolve: { servers: ["127.0.0.1:${nearNames.endpoint.port}"] }
timeouts: { connect: 5s }
${config}`,
      ...(users !== undefined && { users }),
      env: { RIGHT: 's3cret', WRONG: 'wrong' },
    });
  for (const scheme of ['socks5', 'socks5h', 'socks4', 'socks4a', 'http']) {
    test(`${scheme}: there and back, by address`, async () => {
      await using garter = await near(`routes: [{ to: [any], via: "${scheme}://${at(far)}" }]`);
      await works(garter, { host: '127.0.0.1', port: echo.port });
      const record = await garter.record({ destination: `127.0.0.1:${echo.port}`, end: 'client:relay' });
      assert.equal(record.route, `${scheme}://${at(far)}`);
      assert.equal(record.address, `127.0.0.1:${echo.port}`);
      await far.record({ destination: `127.0.0.1:${echo.port}` });
    });
  }

  for (const scheme of ['socks5h', 'socks4a', 'http']) {
    test(`${scheme}: a name is passed on as a name`, async () => {
      await using garter = await near(`routes: [{ to: [any], via: "${scheme}://${at(far)}" }]`);
      const count = nearNames.asked.length;
      await works(garter, { host: 'far.test', port: echo.port });
      assert.equal(nearNames.asked.length, count, 'the near name server was asked');
      const record = await garter.record({ destination: `far.test:${echo.port}` });
      assert.equal(record.address, undefined);
      assert.equal((await far.record({ destination: `far.test:${echo.port}` })).address, at(echo));
    });
  }

  for (const scheme of ['socks5', 'socks4']) {
    test(`${scheme}: a name is resolved here`, async () => {
      await using garter = await near(`routes: [{ to: [any], via: "${scheme}://${at(far)}" }]`);
      await works(garter, { host: 'near.test', port: echo.port });
      assert.equal((await garter.record({ destination: `near.test:${echo.port}` })).address, at(echo));
      await far.record({ destination: at(echo) });
    });
  }

  for (const scheme of ['socks5h', 'http']) {
    test(`${scheme}: replies of the far end are passed on`, async () => {
      await using garter = await near(`routes: [{ to: [any], via: "${scheme}://${at(far)}" }]`);
      assert.equal(await reply(garter, '127.0.0.1', CLOSED), 5);
      assert.equal(await reply(garter, 'nowhere.test', 80), 4);
      assert.equal(await reply(garter, '127.0.0.1', 9), 2);
      await garter.record({ end: 'target:dial:reply-5' });
      await garter.record({ end: 'target:dial:reply-4' });
      await garter.record({ end: 'target:dial:reply-2' });
    });
  }

  test('resolve: here', async () => {
    await using garter = await near(`routes: [{ to: [any], via: "socks5h://${at(far)}", resolve: here }]`);
    await works(garter, { host: 'near.test', port: echo.port });
    await far.record({ destination: at(echo) });
    assert.equal(await reply(garter, 'far.test', 80), 4);
    await garter.record({ end: 'target:resolve:ENOTFOUND' });
  });

  test('the first matching route is used, with its own name servers; without a match the request is refused', async () => {
    await using garter = await near(`
routes:
  - { to: [a.far.test], via: "socks5h://${at(far)}" }
  - { to: [.far.test], via: direct, dns: ["127.0.0.1:${farNames.endpoint.port}"] }
  - { to: [127.0.0.0/8], port: [${echo.port}], via: direct }`);
    assert.equal(await reply(garter, 'a.far.test', 80), 4);
    await garter.record({ destination: 'a.far.test:80', end: 'target:dial:reply-4' });
    await works(garter, { host: 'far.test', port: echo.port });
    await garter.record({ destination: `far.test:${echo.port}`, route: 'direct' });
    await works(garter, { host: 'near.test', port: echo.port });
    await garter.record({ destination: `near.test:${echo.port}`, route: 'direct' });
    assert.equal(await reply(garter, '127.0.0.1', 80), 2);
    await garter.record({ end: 'policy:request:no-route' });
  });

  test('with our own user name and password', async () => {
    await using garter = await near(`
routes: [{ to: [any], via: locked }]
upstreams: { locked: "http://alice:\${RIGHT}@${at(locked)}" }`);
    await works(garter, { host: '127.0.0.1', port: echo.port });
    assert.equal((await locked.record({ destination: at(echo) })).user, 'alice');
    assert.equal((await garter.record({ destination: at(echo) })).route, 'locked');
  });

  for (const scheme of ['socks5h', 'http']) {
    test(`${scheme}: with the client's user name and password`, async () => {
      await using garter = await near(
        `
routes: [{ to: [any], via: locked }]
upstreams: { locked: { url: "${scheme}://${at(locked)}", credentials: client } }`,
        { bob: 'hunter2' },
      );
      using client = await RawClient.connect(garter);
      client.send('05 01 02  01 03', Buffer.from('bob'), '07', Buffer.from('hunter2'));
      client.send(request5(Command.connect, echo.host, echo.port));
      await client.expect('05 02  01 00  05 00 00');
      client.end();
      await locked.record({ destination: at(echo), user: 'bob' });
    });
  }

  for (const scheme of ['socks5h', 'http']) {
    test(`${scheme}: a wrong password is tried at one server only`, async () => {
      await using garter = await near(`
routes: [{ to: [any], via: both }]
upstreams:
  both: { servers: ["${scheme}://alice:\${WRONG}@${at(locked)}", "${scheme}://${at(far)}"] }`);
      const count = (await far.records()).length;
      assert.equal(await reply(garter, '127.0.0.1', echo.port), 1);
      await garter.record({ end: 'upstream:dial:password', route: 'both', at: at(locked) });
      await locked.record({ end: `policy:auth:${scheme === 'http' ? 'wrong-again' : 'wrong'}` });
      assert.equal((await far.records()).length, count);
    });
  }

  test('a server that is down is skipped, and tried last from then on', async () => {
    await using garter = await near(`
routes: [{ to: [any], via: both }]
upstreams: { both: { servers: ["socks5h://127.0.0.1:${CLOSED}", "socks5h://${at(far)}"] } }`);
    for (let i = 0; i < 3; i++) await works(garter, { host: '127.0.0.1', port: echo.port });
    await garter.record({ route: `both/${at(far)}` });
  });

  test('a server with another protocol is skipped', async () => {
    await using garter = await near(`
routes: [{ to: [any], via: both }]
upstreams: { both: { servers: ["socks5h://${at(echo)}", "socks5h://${at(far)}"] } }`);
    await works(garter, { host: '127.0.0.1', port: echo.port });
    await garter.record({ route: `both/${at(far)}` });
  });

  test('members that cannot carry the request use up no tries', async () => {
    await using echo6 = await startEcho('::1');
    const unable = ['socks4', 'socks4a'].flatMap((scheme) => [
      `"${scheme}://${at(far)}"`,
      `"${scheme}://localhost:${far.port}"`,
    ]);
    await using garter = await near(`
routes: [{ to: [any], via: mixed }]
upstreams: { mixed: { servers: [${unable.join(', ')}, "socks5h://${at(far)}"] } }`);
    for (let i = 0; i < 2; i++) {
      using client = await connectThrough(garter, echo6);
      client.send(Buffer.from('six'));
      await client.expect(Buffer.from('six'));
    }
    await garter.record({ route: `mixed/${at(far)}` });
  });

  for (const [says, command, host] of [
    [7, Command.resolve, 'far.test'],
    [8, Command.connect, '127.0.0.1'],
  ] as const) {
    test(`reply ${says} of a member means that it is unable: another one is tried`, async () => {
      await using unable = await startRefusing(says);
      await using garter = await near(`
routes: [{ to: [any], via: both }]
upstreams: { both: { servers: ["socks5h://${at(unable)}", "socks5h://${at(far)}"] } }`);
      using client = await RawClient.connect(garter);
      client.send('05 01 00', request5(command, host, echo.port));
      await client.expect('05 00  05 00 00');
      client.end();
      await garter.record({ route: `both/${at(far)}` });
      await using alone = await near(`routes: [{ to: [any], via: "socks5h://${at(unable)}" }]`);
      assert.equal(await replyCode(alone, request5(command, host, echo.port)), says);
    });
  }

  test('a first hop without a route to the next server: another one is tried', async () => {
    await using island = await startRefusing(3);
    await using garter = await near(`
routes: [{ to: [any], via: long }]
upstreams:
  entries: { servers: ["socks5h://${at(island)}", "socks5h://${at(far)}"] }
  long: { chain: [entries, "socks5h://${at(locked)}", "socks5h://${at(far)}"] }`);
    // The reply of the next server itself is final: it requires a password.
    assert.equal(await reply(garter, '127.0.0.1', echo.port), 1);
    await garter.record({ end: 'upstream:dial:method', route: `long/${at(far)}`, at: at(locked) });
    await using open = await near(`
routes: [{ to: [any], via: long }]
upstreams:
  entries: { servers: ["socks5h://${at(island)}", "socks5h://${at(far)}"] }
  long: { chain: [entries, "socks5h://alice:\${RIGHT}@${at(locked)}"] }`);
    await works(open, { host: '127.0.0.1', port: echo.port });
    await open.record({ route: `long/${at(far)}/${at(locked)}` });
  });

  test('no server: reply 1, and the cause in the record', async () => {
    await using garter = await near(`routes: [{ to: [any], via: "socks5h://127.0.0.1:${CLOSED}" }]`);
    assert.equal(await reply(garter, '127.0.0.1', echo.port), 1);
    const record = await garter.record({ end: 'upstream:dial:ECONNREFUSED' });
    assert.equal(record.at, `127.0.0.1:${CLOSED}`);
  });

  test('the second hop of a chain is not there, or cannot reach the destination', async () => {
    await using garter = await near(`
routes:
  - { to: [any], port: 7, via: cut }
  - { to: [any], via: site }
upstreams:
  cut: { chain: ["socks5h://${at(far)}", "http://localhost:${CLOSED}"] }
  site: { chain: ["socks5h://${at(far)}", "socks5h://alice:\${RIGHT}@${at(locked)}"] }`);
    assert.equal(await reply(garter, '127.0.0.1', 7), 1);
    const { end } = await garter.record({ route: `cut/${at(far)}`, at: `localhost:${CLOSED}` });
    assert.match(end!, /^upstream:dial:reply-/);
    assert.equal(await reply(garter, '127.0.0.1', CLOSED), 5);
    const { route, at: failed } = await garter.record({ end: 'target:dial:reply-5' });
    assert.deepEqual([route, failed], [`site/${at(far)}/${at(locked)}`, undefined]);
  });

  test('a chain of several kinds, with a group in it', async () => {
    await using garter = await near(`
routes: [{ to: [any], via: long }]
upstreams:
  first: { servers: ["socks5h://127.0.0.1:${CLOSED}", "socks4a://${at(far)}"] }
  long: { chain: [first, "http://alice:\${RIGHT}@${at(locked)}", "socks5h://${at(far)}"] }`);
    await works(garter, { host: 'far.test', port: echo.port });
    const record = await garter.record({ destination: `far.test:${echo.port}` });
    assert.equal(record.route, `long/${at(far)}/${at(locked)}/${at(far)}`);
  });

  test('the target sends first, and the client has already sent', async () => {
    const server = createServer((socket: Socket) => {
      socket.write('220 ready\r\n');
      socket.once('data', (data) => socket.end(`got ${String(data)}`));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    await using garter = await near(`routes: [{ to: [any], via: "socks5h://${at(far)}" }]`);
    using client = await RawClient.connect(garter);
    client.send('05 01 00', request5(Command.connect, '127.0.0.1', port), Buffer.from('early'));
    await client.expect('05 00  05 00 00 01');
    await client.read(6);
    assert.equal((await client.rest()).toString(), '220 ready\r\ngot early');
    server.close();
  });

  test('egress', async () => {
    const peers: string[] = [];
    const server = createServer((socket) => {
      peers.push(socket.remoteAddress!);
      socket.end();
    });
    await once(server.listen(0, '0.0.0.0'), 'listening');
    const { port } = server.address() as AddressInfo;
    const from = async (egress: string): Promise<string> => {
      await using garter = await near(`routes: [{ to: [any], via: direct, ${egress} }]`);
      using client = await connectThrough(garter, { host: '127.0.0.1', port });
      await client.rest();
      return peers.at(-1)!;
    };
    assert.equal(await from('egress: 127.0.0.9'), '127.0.0.9');
    assert.equal(await from('egress: [127.0.0.8, 127.0.0.9], rotate: none'), '127.0.0.8');
    assert.equal(await from('egress: [127.0.0.8, 127.0.0.1], rotate: same-as-incoming'), '127.0.0.1');
    assert.equal(await from('egress: [127.0.0.8, 127.0.0.1], rotate: route'), '127.0.0.1');
    assert.match(await from('egress: [127.0.0.8, 127.0.0.9], rotate: random'), /^127\.0\.0\.[89]$/);
    // Only the fast engine can bind to an interface.
    if (process.env.GARTER_ENGINE !== 'portable') assert.equal(await from('egress: lo'), '127.0.0.1');
    server.close();
  });
});
