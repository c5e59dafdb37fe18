import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { type Garter, startGarter } from '../support/garter.ts';
import { address, response, startNameServer, type NameServer } from '../support/name-server.ts';
import { until } from '../support/process.ts';
import { Command, replyCode, request5 } from '../support/raw.ts';

suite('names that no route matches', () => {
  const resources = new AsyncDisposableStack();
  let names: NameServer;
  let garter: Garter;
  before(async () => {
    names = resources.use(
      await startNameServer((asked) => [
        asked.type === 'A'
          ? response(asked, { answers: [address(asked.name, '127.0.0.9')] })
          : response(asked),
      ]),
    );
    garter = resources.use(
      await startGarter({
        config: `
rules:
  - { name: closed, deny: any, to: [.closed.test] }
  - { name: by-address, deny: any, to: [192.0.2.0/24] }
  - { name: all, allow: any, to: [any, loopback] }
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"] }
routes:
  - { to: [.here.test, .closed.test], via: direct }
  - { to: [10.0.0.0/8], port: 8080, via: direct }
  - { to: [private], user: alice, via: direct }
  - { to: [loopback], from: [127.0.0.2], via: direct }`,
        complaint: /^[^\n]*: warning: nobody can have a user name: there are no users\n/,
      }),
    );
  });
  after(() => resources.disposeAsync());

  const cases = [
    { title: 'only names are left', name: 'a.test', port: 80, end: 'policy:request:no-route', asks: false },
    {
      title: 'conditions on addresses are left',
      name: 'b.test',
      port: 8080,
      end: 'policy:request:no-route',
      asks: true,
    },
    {
      title: 'the rules come first',
      name: 'c.closed.test',
      port: 80,
      end: 'policy:request:rule',
      asks: false,
    },
  ] as const;
  for (const command of [Command.connect, Command.bind, Command.resolve] as const) {
    for (const { title, name, port, end, asks } of cases) {
      test(`command ${command}, ${title}: reply 2, ${asks ? 'after' : 'without'} a query`, async () => {
        const host = `${command}.${name}`;
        assert.equal(await replyCode(garter, request5(command, host, port)), 2);
        await garter.record({ destination: `${host}:${port}`, end });
        assert.equal(
          names.asked.some((one) => one.name === host),
          asks,
        );
      });
    }
  }

  test('datagrams to them are refused without a query', async () => {
    using client = await Datagrams.bind('127.0.0.1');
    using association = await associate(garter);
    await client.send(frame({ host: 'udp.test', port: 80 }, 'ping'), association.relay);
    await until(
      async () => (await garter.log()).find(({ event }) => event === 'datagram-refused'),
      () => 'it was not refused',
    );
    assert.ok(!names.asked.some(({ name }) => name === 'udp.test'));
  });
});
