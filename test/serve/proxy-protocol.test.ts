import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { type Garter, type GarterOptions, OPEN, startGarter } from '../support/garter.ts';
import { Command, RawClient, request5 } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

const LINE = Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 40000 1080\r\n');
/** Version 2, from 2001:db8::7 port 40000, followed by a TLV. */
const BINARY = Buffer.from(
  `0d0a0d0a000d0a515549540a 21 21 0027 20010db8${'00'.repeat(11)}07 20010db8${'00'.repeat(11)}01 9c40 0438 040000`.replaceAll(
    ' ',
    '',
  ),
  'hex',
);
const LOCAL = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');
const BALANCER: GarterOptions = { listener: ['proxy-protocol: { from: [127.0.0.1] }'] };

/** The client of a CONNECT behind the balancer, with the header sent byte by byte or in one piece. */
async function connect(garter: Garter, header: Uint8Array, port: number): Promise<RawClient> {
  const client = await RawClient.connect(garter);
  client.send(header, '05 01 00', request5(Command.connect, '127.0.0.1', port));
  return client;
}

suite('PROXY protocol', () => {
  for (const [name, header, client] of [
    ['version 1', LINE, '192.0.2.7:40000'],
    ['version 2', BINARY, '[2001:db8::7]:40000'],
  ] as const) {
    test(`${name}: rules and records see the client`, async () => {
      await using echo = await startEcho();
      await using garter = await startGarter({
        ...BALANCER,
        config: `accept: [{ name: seen, allow: true, from: [192.0.2.7, "2001:db8::7"] }]\n${OPEN}`,
      });
      using through = await connect(garter, header, echo.port);
      await through.expect('05 00  05 00 00');
      through.end();
      await through.rest();
      await garter.record({ client, end: 'client:relay' });
    });
  }

  test('one byte at a time', async () => {
    await using echo = await startEcho();
    await using garter = await startGarter({ ...BALANCER, config: OPEN });
    using client = await RawClient.connect(garter);
    for (const byte of Buffer.concat([BINARY, Buffer.of(5, 1, 0)])) {
      client.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.expect('05 00');
    client.send(request5(Command.connect, '127.0.0.1', echo.port));
    await client.expect('05 00 00');
  });

  test('accept rules apply to clients behind the balancer', async () => {
    await using garter = await startGarter({
      ...BALANCER,
      config: `accept: [{ name: nobody, allow: false, from: [192.0.2.0/24] }, { name: rest, allow: true }]\n${OPEN}`,
    });
    using client = await connect(garter, LINE, 9);
    await client.gone();
    await garter.record({ client: '192.0.2.7:40000', end: 'policy:accept:nobody' });
  });

  test('LOCAL and UNKNOWN: the client is the balancer itself', async () => {
    await using echo = await startEcho();
    await using garter = await startGarter({ ...BALANCER, config: OPEN });
    for (const header of [LOCAL, Buffer.from('PROXY UNKNOWN\r\n')]) {
      using client = await connect(garter, header, echo.port);
      await client.expect('05 00  05 00 00');
      client.end();
      await client.rest();
      await garter.record({ client: `127.0.0.1:${client.localPort}` });
    }
  });

  test('a balancer without a header, or with junk, is closed', async () => {
    await using garter = await startGarter({ ...BALANCER, config: OPEN });
    for (const junk of [Buffer.of(5, 1, 0), Buffer.from('PROXY TCP4 a b 1 2\r\n'), Buffer.alloc(200, 'P')]) {
      using client = await connect(garter, junk, 9);
      await client.gone();
      await garter.record({
        client: `127.0.0.1:${client.localPort}`,
        end: 'client:accept:ERR_SOCKS_PROXY_HEADER',
      });
    }
  });

  test('from other clients a header is invalid, and none is needed', async () => {
    await using echo = await startEcho();
    await using garter = await startGarter({
      listener: ['proxy-protocol: { from: [127.0.0.9] }'],
      config: OPEN,
    });
    using direct = await connect(garter, Buffer.of(), echo.port);
    await direct.expect('05 00  05 00 00');
    using liar = await connect(garter, LINE, echo.port);
    await liar.gone();
    await garter.record({ client: `127.0.0.1:${liar.localPort}`, end: 'client:greeting:proxy' });
  });

  test('the handshake time-out closes a silent balancer', async () => {
    await using garter = await startGarter({
      ...BALANCER,
      config: `timeouts: { handshake: 300ms }\n${OPEN}`,
    });
    using client = await RawClient.connect(garter);
    await client.gone();
    await garter.record({ end: 'timeout:accept' });
  });

  test("an association expects datagrams from the client's address, not the balancer's", async () => {
    await using garter = await startGarter({ ...BALANCER, config: OPEN });
    using target = await Datagrams.bind('127.0.0.1');
    using association = await associate(
      garter,
      undefined,
      Buffer.from('PROXY TCP4 127.0.0.7 127.0.0.1 4 5\r\n'),
    );
    using balancer = await Datagrams.bind('127.0.0.1');
    using client = await Datagrams.bind('127.0.0.7');
    await balancer.send(frame(target, 'a stranger'), association.relay);
    await client.send(frame(target, 'the client'), association.relay);
    assert.equal((await target.receive()).data.toString(), 'the client');
  });

  test("limits count the client's address", async () => {
    await using echo = await startEcho();
    await using garter = await startGarter({ ...BALANCER, config: `limits: { per-address: 1 }\n${OPEN}` });
    using first = await connect(garter, LINE, echo.port);
    await first.expect('05 00  05 00 00');
    using second = await connect(garter, LINE, echo.port);
    await second.gone();
    using other = await connect(garter, BINARY, echo.port);
    await other.expect('05 00  05 00 00');
    await garter.record({ client: '192.0.2.7:40000', end: 'limit:accept:per-address' });
  });
});
