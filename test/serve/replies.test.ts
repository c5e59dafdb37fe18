import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGarter, type Garter } from '../support/garter.ts';
import { startNameServer, response, type NameServer } from '../support/name-server.ts';
import {
  Command,
  connectThrough,
  formatHex,
  RawClient,
  readAddress,
  replyCode,
  request4,
  request5,
} from '../support/raw.ts';
import { closedPort, startBlackHole, startEcho, type Target } from '../support/targets.ts';

suite('each failure has its reply code', () => {
  const resources = new AsyncDisposableStack();
  let names: NameServer;
  let garter: Garter;
  let echo: Target;
  let hole: Target;
  before(async () => {
    names = resources.use(await startNameServer((asked) => [response(asked, { rcode: 3 })]));
    echo = resources.use(await startEcho());
    hole = resources.use(await startBlackHole());
    garter = resources.use(
      await startGarter({
        config: `
rules:
  - { name: closed, deny: any, to: [any], port: [9] }
  - { name: no-bind, deny: [bind, udp], to: [any] }
  - { name: open, allow: [connect, resolve], to: [any, loopback] }
resolve: { servers: ["${names.endpoint.host}:${names.endpoint.port}"] }
timeouts: { connect: 1s }`,
      }),
    );
  });
  after(() => resources.disposeAsync());

  const failures = [
    { title: 'refused', host: () => '127.0.0.1', port: closedPort, code: 5, end: 'target:dial:ECONNREFUSED' },
    { title: 'refused, IPv6', host: () => '::1', port: closedPort, code: 5, end: 'target:dial:ECONNREFUSED' },
    {
      title: 'no answer',
      host: () => hole.host,
      port: () => hole.port,
      code: 6,
      end: 'target:dial:ETIMEDOUT',
    },
    {
      title: 'no such name',
      host: () => 'nowhere.test',
      port: () => 80,
      code: 4,
      end: 'target:resolve:ENOTFOUND',
    },
    {
      title: 'refused by a rule',
      host: () => '127.0.0.1',
      port: () => 9,
      code: 2,
      end: 'policy:request:rule',
    },
  ];
  for (const { title, host, port, code, end } of failures) {
    test(`${title}: ${code}, and 91 in SOCKS4`, async () => {
      const target = { host: host(), port: await port() };
      assert.equal(await replyCode(garter, request5(Command.connect, target.host, target.port)), code);
      await garter.record({ end });
      if (target.host === '::1') return;
      assert.equal(await replyCode(garter, request4(Command.connect, target.host, target.port)), 0x5b);
      await garter.record({ end });
    });
  }

  const refusals = [
    { title: 'BIND', request: request5(Command.bind, '127.0.0.1', 0) },
    { title: 'UDP ASSOCIATE', request: request5(Command.associate, '0.0.0.0', 0) },
  ];
  for (const { title, request } of refusals) {
    test(`${title} that a rule denies: 2`, async () => {
      assert.equal(await replyCode(garter, request), 2);
      await garter.record({ end: 'policy:request:rule', rule: 'no-bind' });
    });
  }

  test('a success contains the address that the target sees', async () => {
    const seen = Promise.withResolvers<number | undefined>();
    await using target = await startEcho('127.0.0.1', (socket) => seen.resolve(socket.remotePort));
    using client = await RawClient.connect(garter);
    client.send('05 01 00', request5(Command.connect, target.host, target.port));
    await client.expect('05 00  05 00 00');
    assert.deepEqual(await readAddress(client), { host: '127.0.0.1', port: await seen.promise });
  });

  test('SOCKS4: the same', async () => {
    using client = await RawClient.connect(garter);
    client.send(request4(Command.connect, echo.host, echo.port), Buffer.from('hello'));
    const reply = await client.read(8);
    assert.equal(formatHex(reply.subarray(0, 2)), '00 5a');
    const bound = `${reply.subarray(4).join('.')}:${reply.readUInt16BE(2)}`;
    client.end();
    assert.equal((await client.rest()).toString(), 'hello');
    await garter.record({ command: 'connect', bound });
  });

  test('RESOLVE of localhost', async () => {
    using client = await RawClient.connect(garter);
    client.send('05 01 00', request5(Command.resolve, 'localhost', 0));
    await client.expect('05 00  05 00 00');
    assert.match((await readAddress(client)).host, /^(127\.0\.0\.1|::1)$/);
    assert.equal((await client.rest()).length, 0);
    await garter.record({ command: 'resolve', destination: 'localhost:0' });
  });

  test('a failure does not affect the next request', async () => {
    using client = await connectThrough(garter, echo);
    client.send(Buffer.from('still here'));
    await client.expect(Buffer.from('still here'));
  });
});
