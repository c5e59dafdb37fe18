import { after, before, suite, test } from 'node:test';
import { reload, startGarter, type Garter } from '../support/garter.ts';
import { RawClient, request4, request5 } from '../support/raw.ts';
import { startEcho, type Target } from '../support/targets.ts';

const LOGIN = Buffer.from('\x01\x05alice\x06secret');
/** Clients by the methods that their accept rule, or else the listener, leaves them. */
const [NONE, PASSWORD, EITHER, LISTENERS, NOBODY] = [2, 3, 4, 5, 6].map((last) => `127.0.0.${last}`);

suite('methods of accept rules', () => {
  let garter: Garter;
  let echo: Target;
  before(async () => {
    echo = await startEcho();
    garter = await startGarter({
      listener: ['methods: [password]'],
      users: { alice: 'secret' },
      config: `
accept:
  - { name: none, allow: true, from: [${NONE}], methods: [none] }
  - { name: password, allow: true, from: [${PASSWORD}], methods: [password] }
  - { name: either, allow: true, from: [${EITHER}], methods: [none, password] }
  - { name: as-listener, allow: true, from: [${LISTENERS}] }
  - { name: nobody, allow: false, from: [any], methods: [none] }
rules: [{ name: all, allow: any, to: [loopback] }]`,
    });
  });
  after(async () => {
    await garter[Symbol.asyncDispose]();
    await echo[Symbol.asyncDispose]();
  });

  const cases = [
    { from: NONE, offers: '05 02 00 02', chosen: '00' },
    { from: NONE, offers: '05 01 02', chosen: 'ff' },
    { from: PASSWORD, offers: '05 02 00 02', chosen: '02' },
    { from: PASSWORD, offers: '05 01 00', chosen: 'ff' },
    { from: EITHER, offers: '05 02 00 02', chosen: '00' },
    { from: EITHER, offers: '05 01 02', chosen: '02' },
    { from: LISTENERS, offers: '05 02 00 02', chosen: '02' },
    { from: LISTENERS, offers: '05 01 00', chosen: 'ff' },
  ] as const;
  for (const { from, offers, chosen } of cases) {
    test(`${from} offers ${offers.slice(6)}: ${chosen}`, async () => {
      using client = await RawClient.connect(garter, from);
      const address = `${from}:${client.localPort}`;
      client.send(offers);
      await client.expect(`05 ${chosen}`);
      if (chosen === 'ff') {
        await client.gone();
        await garter.record({ client: address, end: 'policy:greeting:no-method' });
        return;
      }
      if (chosen === '02') {
        client.send(LOGIN);
        await client.expect('01 00');
      }
      client.send(request5(1, '127.0.0.1', echo.port));
      await client.expect('05 00 00');
      client.end();
      await client.rest();
      await garter.record({
        client: address,
        method: chosen === '02' ? 'password' : 'none',
        end: 'client:relay',
      });
    });
  }

  test('SOCKS4 has no password: only a rule with none lets it in', async () => {
    for (const [from, reply] of [
      [NONE, '00 5a'],
      [EITHER, '00 5a'],
      [PASSWORD, '00 5b'],
      [LISTENERS, '00 5b'],
    ] as const) {
      using client = await RawClient.connect(garter, from);
      client.send(request4(1, '127.0.0.1', echo.port));
      await client.expect(reply);
    }
  });

  test('a rule that refuses closes the connection, whatever its methods', async () => {
    using client = await RawClient.connect(garter, NOBODY);
    await client.gone();
    await garter.record({ client: `${NOBODY}:${client.localPort}`, end: 'policy:accept:nobody' });
  });

  test('a reload changes them for later connections', async () => {
    using earlier = await RawClient.connect(garter, NONE);
    earlier.send('05 01 00');
    await earlier.expect('05 00');
    await reload(garter, (text) => text.replace('methods: [none] }', 'methods: [password] }'));
    earlier.send(request5(1, '127.0.0.1', echo.port));
    await earlier.expect('05 00 00');
    using later = await RawClient.connect(garter, NONE);
    later.send('05 01 00');
    await later.expect('05 ff');
  });
});
