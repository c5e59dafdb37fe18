import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { type Garter, OPEN, startGarter } from '../support/garter.ts';
import { address, response, startNameServer, type NameServer } from '../support/name-server.ts';
import { Command, RawClient, readAddress, replyCode, request5, works } from '../support/raw.ts';
import {
  at,
  closedPort,
  startDatagramEcho,
  startEcho,
  startTarget,
  type Target,
} from '../support/targets.ts';

suite('direct at the end of a group', { concurrency: false }, () => {
  const resources = new AsyncDisposableStack();
  let echo: Target;
  let datagramEcho: Target;
  let names: NameServer;
  /** The destinations that it is asked for are in its records. */
  let server: Garter;
  let dead: string;
  before(async () => {
    echo = resources.use(await startEcho());
    datagramEcho = resources.use(await startDatagramEcho());
    names = resources.use(
      await startNameServer((asked) => [
        asked.type === 'A'
          ? response(asked, { answers: [address(asked.name, '127.0.0.1')] })
          : response(asked),
      ]),
    );
    server = resources.use(await startGarter({ listener: ['protocols: [socks5, http]'], config: OPEN }));
    dead = `127.0.0.1:${await closedPort()}`;
  });
  after(() => resources.disposeAsync());

  const near = (servers: string, more = ''): Promise<Garter> =>
    startGarter({
      config: `
${OPEN}
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"] }
timeouts: { connect: 3s }
routes: [{ to: [any], via: office }]
upstreams: { office: { servers: [${servers}]${more} } }`,
      env: { WRONG: 'wrong' },
    });

  test('a server that works is used, and gets addresses: names are resolved here', async () => {
    await using garter = await near(`"socks5h://${at(server)}", direct`);
    const asked = names.asked.length;
    await works(garter, { host: 'echo.test', port: echo.port });
    const { route } = await garter.record({ destination: `echo.test:${echo.port}`, address: at(echo) });
    assert.equal(route, `office/${at(server)}`);
    assert.ok(names.asked.length > asked);
    await server.record({ destination: at(echo) });
  });

  test('without one, requests leave directly, whatever choose says', async () => {
    for (const choose of ['order', 'random', 'round-robin', 'least-sessions', 'source-hash']) {
      await using garter = await near(`"socks5h://${dead}", "http://${dead}", direct`, `, choose: ${choose}`);
      for (let i = 0; i < 2; i++) {
        await works(garter, { host: 'echo.test', port: echo.port });
        await garter.record({ route: 'office/direct', address: at(echo), end: 'client:relay' });
      }
    }
  });

  test('servers that are silent leave time for it, and are not asked while they are down', async () => {
    let connections = 0;
    await using silent = await startTarget(() => connections++);
    await using garter = await near(`"socks5://${at(silent)}", direct`);
    for (let i = 0; i < 3; i++) await works(garter, { host: '127.0.0.1', port: echo.port });
    assert.equal(connections, 1);
  });

  test('a refused password and a reply about the destination are final', async () => {
    await using locked = await startGarter({ users: { alice: 'secret' }, config: OPEN });
    for (const via of [`socks5h://alice:\${WRONG}@${at(locked)}`, `socks5h://${at(server)}`]) {
      await using garter = await near(`"${via}", direct`);
      const port = via.includes('alice') ? echo.port : await closedPort();
      assert.notEqual(await replyCode(garter, request5(Command.connect, '127.0.0.1', port)), 0);
      const { route } = await garter.record({ command: 'connect' });
      assert.doesNotMatch(route!, /direct/);
    }
  });

  test('the failure of a direct connection is that of the destination', async () => {
    await using garter = await near(`"socks5h://${dead}", direct`);
    assert.equal(await replyCode(garter, request5(Command.connect, '127.0.0.1', await closedPort())), 5);
    await garter.record({ route: 'office/direct', end: 'target:dial:ECONNREFUSED' });
  });

  for (const [title, servers] of [
    ['is down', () => `"socks5h://${dead}", direct`],
    ['cannot carry datagrams', () => `"http://${at(server)}", direct`],
  ] as const) {
    test(`UDP: when the server ${title}, all datagrams of an association leave directly`, async () => {
      await using garter = await near(servers());
      await using other = await startDatagramEcho();
      using client = await Datagrams.bind('127.0.0.1');
      using association = await associate(garter);
      for (const target of [datagramEcho, other]) {
        await client.send(frame(target, 'ping'), association.relay);
        assert.deepEqual((await client.receive()).data, frame(target, 'ping'));
      }
      association.control.end();
      const { route } = await garter.record({ command: 'udp' });
      assert.equal(route, 'office/direct');
    });
  }

  test('BIND opens its port here', async () => {
    await using garter = await near(`"socks5h://${dead}", direct`);
    using client = await RawClient.connect(garter);
    client.send('05 01 00', request5(Command.bind, '127.0.0.1', 0));
    await client.expect('05 00  05 00 00');
    using peer = await RawClient.connect(await readAddress(client));
    await client.expect('05 00 00');
    await readAddress(client);
    peer.send(Buffer.from('in'));
    await client.expect(Buffer.from('in'));
    client.reset();
    await garter.record({ command: 'bind', route: 'office/direct' });
  });

  test('health checks are for servers', async () => {
    await using garter = await near(`"socks5h://${dead}", direct`, ', health: { every: 100ms }');
    await works(garter, { host: '127.0.0.1', port: echo.port });
    await garter.record({ route: 'office/direct' });
  });
});
