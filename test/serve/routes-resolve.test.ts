import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { addressOf } from '../../src/wire/address.ts';
import { encodeSocks5Reply, Reply } from '../../src/wire/socks5.ts';
import { type Garter, OPEN, startGarter } from '../support/garter.ts';
import { address, response, startNameServer, type NameServer } from '../support/name-server.ts';
import { Command, RawClient, replyCode, request4, request5 } from '../support/raw.ts';
import { at } from '../support/targets.ts';

/** Resolves one name to its address, and the address to the name. */
function startNames(name: string, host: string): Promise<NameServer> {
  return startNameServer((asked) => {
    if (asked.type === 'PTR')
      return [
        response(asked, { answers: [{ name: asked.name, type: 'PTR', class: 'IN', ttl: 60, data: name }] }),
      ];
    if (asked.name !== name) return [response(asked, { rcode: 3 })];
    return [response(asked, asked.type === 'A' ? { answers: [address(name, host)] } : {})];
  });
}

/** The complete reply. */
async function answer(garter: Garter, request: Uint8Array): Promise<Buffer> {
  using client = await RawClient.connect(garter);
  client.send('05 01 00', request);
  await client.expect('05 00');
  return await client.rest();
}

test('RESOLVE and RESOLVE_PTR by the name servers of the route', async () => {
  await using common = await startNames('common.test', '10.9.8.3');
  await using own = await startNames('own.test', '10.9.8.4');
  await using garter = await startGarter({
    config: `
rules: [{ name: all, allow: any, to: [any] }]
resolve: { servers: ["127.0.0.1:${common.endpoint.port}"] }
routes: [{ to: [any], via: direct, dns: ["127.0.0.1:${own.endpoint.port}"] }]`,
  });
  const there = await answer(garter, request5(Command.resolve, 'own.test', 0));
  assert.equal(there.toString('hex'), '050000010a0908040000');
  const back = await answer(garter, request5(Command.resolvePtr, '10.9.8.4', 0));
  assert.equal(back.subarray(5, -2).toString(), 'own.test');
  assert.deepEqual(common.asked, [], 'those of `resolve` were asked');
});

/** Answers for a name with ::1 and 127.0.0.1, which is the order of RFC 6724. */
const dual = [
  { says: 'IPv6 where only that is enabled', family: 'ipv6', answers: '::1' },
  { says: 'IPv4 where only that is enabled', listener: ['resolve: system'], family: 'ipv4' },
  { says: 'IPv4 first from the last server', via: 'socks5h', to: 'any, loopback' },
];

for (const row of dual) {
  const { says, listener = [], family = 'any', answers = '127.0.0.1' } = row;
  test(`RESOLVE of a name with both families: ${says}`, async () => {
    await using names = await startNameServer((asked) => {
      const host = asked.type === 'AAAA' ? '::1' : '127.0.0.1';
      return [response(asked, { answers: [address(asked.name, host)] })];
    });
    const config = `
rules: [{ name: some, allow: any, to: [${row.to ?? '"::1", 127.0.0.1'}] }]
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"], family: ${family} }`;
    await using far = row.via === undefined ? undefined : await startGarter({ listener, config });
    const via = far === undefined ? 'direct' : `"${row.via}://${at(far)}"`;
    await using near = await startGarter({
      listener,
      config: `${config}\nroutes: [{ to: [any, loopback], via: ${via} }]`,
    });
    const expected = encodeSocks5Reply({ code: Reply.succeeded, bound: addressOf(answers, 0) });
    assert.deepEqual(await answer(near, request5(Command.resolve, 'dual.test', 0)), Buffer.from(expected));
  });
}

suite('RESOLVE through upstreams', () => {
  const resources = new AsyncDisposableStack();
  let nearNames: NameServer;
  let farNames: NameServer;
  let far: Garter;
  let middle: Garter;
  before(async () => {
    nearNames = resources.use(await startNames('near.test', '10.9.8.1'));
    farNames = resources.use(await startNames('far.test', '10.9.8.2'));
    far = resources.use(
      await startGarter({
        listener: ['protocols: [socks5, socks4, http]'],
        config: `
${OPEN}
resolve: { servers: ["127.0.0.1:${farNames.endpoint.port}"] }`,
      }),
    );
    middle = resources.use(
      await startGarter({
        listener: ['protocols: [http]'],
        config: 'rules: [{ name: open, allow: connect, to: [loopback] }]',
      }),
    );
  });
  after(() => resources.disposeAsync());

  const near = (via: string, more = ''): Promise<Garter> =>
    startGarter({
      listener: ['protocols: [socks5, socks4]'],
      config: `
${OPEN}
resolve: { servers: ["127.0.0.1:${nearNames.endpoint.port}"] }
routes: [{ to: [any], via: way ${more}}]
upstreams: { way: ${via} }`,
    });
  const resolved = Buffer.from('050000 01 0a090802 0000'.replaceAll(' ', ''), 'hex');
  const named = Buffer.concat([Buffer.of(5, 0, 0, 3, 8), Buffer.from('far.test'), Buffer.of(0, 0)]);

  test('if names are passed on, the last server is asked', async () => {
    await using garter = await near(`{ chain: ["http://${at(middle)}", "socks5h://${at(far)}"] }`);
    const count = nearNames.asked.length;
    assert.deepEqual(await answer(garter, request5(Command.resolve, 'far.test', 0)), resolved);
    const record = await garter.record({ command: 'resolve', end: 'none:resolve' });
    assert.equal(record.address, '10.9.8.2');
    assert.equal(record.route, `way/${at(middle)}/${at(far)}`);
    assert.deepEqual(await answer(garter, request5(Command.resolvePtr, '10.9.8.2', 0)), named);
    assert.equal(await replyCode(garter, request5(Command.resolve, 'nowhere.test', 0)), 4);
    await garter.record({ command: 'resolve', end: 'target:resolve:reply-4' });
    assert.equal(nearNames.asked.length, count, 'the near name server was asked');
  });

  test('a SOCKS4A client', async () => {
    await using garter = await near(`"socks5h://${at(far)}"`);
    using client = await RawClient.connect(garter);
    client.send(request4(Command.resolve, 'far.test', 0));
    await client.expect('00 5a 00 00 0a 09 08 02');
  });
});
