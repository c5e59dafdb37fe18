import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { type Garter, OPEN, startGarter } from '../support/garter.ts';
import { startNameServer, response, type NameServer } from '../support/name-server.ts';
import { Command, connectThrough, RawClient, replyCode, request4, request5 } from '../support/raw.ts';
import { startEcho, type Target } from '../support/targets.ts';

/** Spellings that clients use. */
const NAMES = ['localhost', 'LOCALHOST.', 'a.B.localhost'];

suite('`localhost`', () => {
  const resources = new AsyncDisposableStack();
  let echo: Target;
  let names: NameServer;
  let far: Garter;
  before(async () => {
    echo = resources.use(await startEcho());
    names = resources.use(await startNameServer((asked) => [response(asked, { rcode: 3 })]));
    far = resources.use(await startGarter({ config: OPEN }));
  });
  after(() => resources.disposeAsync());

  /** `way`: the destinations with a direct route; all others use the other garter. */
  const near = (to: string, way: string): Promise<Garter> =>
    startGarter({
      listener: ['protocols: [socks5, socks4, http]'],
      config: `
rules: [{ name: near, allow: any, to: [${to}] }]
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"] }
routes: [{ to: [${way}], via: direct }${way === 'any' ? '' : `, { to: [any], via: "socks5h://127.0.0.1:${far.port}" }`}]`,
    });
  const goesThrough = async (garter: Garter, host: string): Promise<void> => {
    using client = await connectThrough(garter, { host, port: echo.port });
    client.send(Buffer.from('hello'));
    await client.expect(Buffer.from('hello'));
  };
  const OTHERS = '.other.test';

  test('is not passed on because of `any` and `loopback`, whatever the command and the protocol', async () => {
    await using garter = await near('any, loopback, self', OTHERS);
    for (const name of NAMES) {
      for (const command of [Command.connect, Command.bind, Command.resolve]) {
        assert.equal(await replyCode(garter, request5(command, name, echo.port)), 2, `${name} ${command}`);
        await garter.record({ end: 'policy:request:no-rule' });
      }
      using client = await RawClient.connect(garter);
      client.send(request4(1, name, echo.port));
      assert.equal((await client.rest())[1], 91, name);
      using http = await RawClient.connect(garter);
      http.send(Buffer.from(`CONNECT ${name}:${echo.port} HTTP/1.1\r\nHost: x\r\n\r\n`));
      assert.match((await http.rest()).toString(), /^HTTP\/1\.1 403 /, name);
    }
    using target = await Datagrams.bind('127.0.0.1');
    using socket = await Datagrams.bind('127.0.0.1');
    using association = await associate(garter);
    for (const name of NAMES)
      await socket.send(frame({ host: name, port: target.port }, 'past the rules'), association.relay);
    const to = { host: '127.0.0.1', port: target.port };
    await socket.send(frame(to, 'by address'), association.relay);
    assert.equal((await target.receive()).data.toString(), 'by address');
  });

  test('is passed on if a rule names it', async () => {
    await using garter = await near('any, .localhost', OTHERS);
    for (const name of NAMES) {
      await goesThrough(garter, name);
      const { destination } = await far.record({ command: 'connect' });
      assert.equal(destination, `${name.toLowerCase().replace(/\.$/, '')}:${echo.port}`);
    }
  });

  for (const to of ['any', 'loopback']) {
    test(`is resolved without a query on a direct route to ${to}`, async () => {
      await using garter = await near('loopback', to);
      for (const name of NAMES) {
        await goesThrough(garter, name);
        const { route, address } = await garter.record({ command: 'connect' });
        assert.equal(route, 'direct');
        assert.match(String(address), /^(127\.0\.0\.1|\[::1\]):/);
      }
      assert.deepEqual(names.asked, []);
    });
  }
});
