import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGarter, type Garter } from '../support/garter.ts';
import { address, response, startNameServer, type NameServer } from '../support/name-server.ts';
import { Command, connectThrough, replyCode, request5, request5ByName } from '../support/raw.ts';
import { startEcho, type Target } from '../support/targets.ts';

/** Destinations that `to: [any]` must not reach, in every spelling. */
const inside = [
  '127.0.0.1',
  '127.255.255.254',
  '0.0.0.0',
  '0.1.2.3',
  '169.254.169.254',
  '169.254.1.1',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '224.0.0.1',
  '239.255.255.255',
  '255.255.255.255',
  '::',
  '::1',
  'fe80::1',
  'ff02::1',
  'fd00:ec2::254',
  '::ffff:127.0.0.1',
  '::ffff:169.254.169.254',
  '64:ff9b::127.0.0.1',
  '64:ff9b::a9fe:a9fe',
  '2002:7f00:1::',
  '2002:a9fe:a9fe::1',
  '192.0.2.7',
  '198.18.0.1',
  '64:ff9b::c000:207',
  'fd00:ec2::23',
  'fd00:a9fe:a9fe::1',
  '::ffff:0:7f00:1',
  '::7f00:1',
  'fec0::1',
  '2001:db8::1',
];

/** Texts that another program could interpret as one of them. */
const disguised = [
  '127.1',
  '127.0.1',
  '2130706433',
  '0x7f000001',
  '0x7f.0.0.1',
  '0177.0.0.1',
  '017700000001',
  '127.0.0.1.',
  '[::1]',
  '[::ffff:7f00:1]',
  'localhost',
  'LOCALHOST.',
];

suite('`to: [any]` does not allow internal addresses', () => {
  const resources = new AsyncDisposableStack();
  let names: NameServer;
  let garter: Garter;
  let echo: Target;
  before(async () => {
    echo = resources.use(await startEcho());
    // inside-3.test is the third of the addresses above.
    names = resources.use(
      await startNameServer((asked) => {
        const data = inside[Number(/^inside-(\d+)\.test$/.exec(asked.name)?.[1])];
        const fits = data !== undefined && data.includes(':') === (asked.type === 'AAAA');
        return [response(asked, fits ? { answers: [address(asked.name, data)] } : {})];
      }),
    );
    garter = resources.use(
      await startGarter({
        config: `
rules: [{ name: everywhere, allow: any, to: [any] }]
resolve: { servers: ["${names.endpoint.host}:${names.endpoint.port}"] }
timeouts: { connect: 2s }`,
      }),
    );
  });
  after(() => resources.disposeAsync());

  const refuses = async (request: Uint8Array): Promise<void> => {
    assert.equal(await replyCode(garter, request), 2);
    const record = await garter.record({ command: 'connect' });
    assert.equal(record.bound, undefined, 'nothing was dialled');
    assert.match(record.end!, /^policy:request/);
  };
  for (const [i, host] of inside.entries()) {
    test(host, () => refuses(request5(Command.connect, host, echo.port)));
    test(`${host} sent as a name`, () => refuses(request5ByName(Command.connect, host, echo.port)));
    test(`${host} as the address of a name`, () =>
      refuses(request5(Command.connect, `inside-${i}.test`, echo.port)));
  }
  for (const text of disguised) {
    test(`${text} sent as a name`, () => refuses(request5ByName(Command.connect, text, echo.port)));
  }
});

suite('with loopback allowed', () => {
  let garter: Garter;
  before(async () => {
    garter = await startGarter({ config: 'rules: [{ name: loopback, allow: any, to: [loopback, self] }]' });
  });
  after(() => garter[Symbol.asyncDispose]());

  test('loopback is allowed', async () => {
    await using echo = await startEcho();
    using client = await connectThrough(garter, echo);
    client.send(Buffer.from('hello'));
    await client.expect(Buffer.from('hello'));
  });

  for (const host of ['127.0.0.1', '::ffff:127.0.0.1', 'localhost']) {
    test(`garter's own port is refused: ${host}`, async () => {
      assert.equal(await replyCode(garter, request5(Command.connect, host, garter.port)), 2);
    });
  }
});
