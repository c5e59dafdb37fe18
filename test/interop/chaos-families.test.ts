import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { check, run, start, type Outcome } from '../support/process.ts';
import { addRoute, deviceTo, filter, packets } from './machine.ts';
import { far, page, startNetwork, type Network } from './network.ts';

/** A name with global addresses, so that IPv6 is preferred; only the IPv4 address can be reached. */
const DEAD6 = { name: 'dead6.far.test', v6: '2001:db8::2' };
const names = [`${DEAD6.name},${far.v4},${DEAD6.v6}`];

const ask = fileURLToPath(new URL('./clients/ask.ts', import.meta.url));
const bind = fileURLToPath(new URL('./clients/bind.ts', import.meta.url));

const TRIED = `
  counter tried {}
  chain output {
    type filter hook output priority filter;
    ip6 daddr ${DEAD6.v6} tcp dport 80 counter name tried
  }`;

function curl(network: Network, host: string): Promise<Outcome> {
  const command = ['curl', '-sS', '-m', '20', '-x', `socks5h://${network.proxy}`];
  return run([...network.client, ...command, `http://${host}/`]);
}

async function fetches(network: Network, host: string, address: string): Promise<void> {
  const { code, stdout, stderr } = await curl(network, host);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, page);
  await network.garter.record({ command: 'connect', destination: `${host}:80`, address: `${address}:80` });
}

suite('hosts with IPv6 only', () => {
  let network: Network;
  before(async () => {
    network = await startNetwork({ families: [6], names });
  });
  after(() => network[Symbol.asyncDispose]());

  for (const host of [`[${far.v6}]`, far.name]) {
    test(`CONNECT to ${host}`, () => fetches(network, host, `[${far.v6}]`));
  }

  test('CONNECT to an IPv4 address: no route', async () => {
    const { stderr } = await curl(network, far.v4);
    assert.match(stderr, /\(3\)/);
    await network.garter.record({ destination: `${far.v4}:80`, end: 'target:dial:ENETUNREACH' });
  });

  for (const host of [far.v6, far.name]) {
    test(`UDP ASSOCIATE: a query to the name server at ${host}`, async () => {
      const { garter, client } = network;
      const command = [process.execPath, ask, garter.host, String(garter.port), host, far.name];
      assert.equal(await check([...client, ...command]), `${far.v6}\n`);
      const record = await garter.record({ command: 'udp', end: 'client:relay' });
      assert.ok(record.sent > 0 && record.received > record.sent, JSON.stringify(record));
    });
  }

  test('BIND: the server connects to the address on its side', async () => {
    const { garter, client, server } = network;
    const command = [process.execPath, bind, garter.host, String(garter.port), far.v6];
    await using waiting = await start([...client, ...command], { ready: /^bound (\S+) (\d+)$/m });
    const [, host, port] = waiting.ready;
    assert.equal(host, 'fd77:2::1');
    await check([...server, 'ncat', '--send-only', host, port!], { input: 'hello' });
    assert.equal(await waiting.ended(), 0, waiting.stderr());
    assert.match(waiting.stdout(), new RegExp(`^from ${far.v6}\ngot hello$`, 'm'));
    await garter.record({ command: 'bind', end: 'target:relay' });
  });
});

suite('hosts with IPv4 only', () => {
  let network: Network;
  before(async () => {
    network = await startNetwork({ families: [4], names });
  });
  after(() => network[Symbol.asyncDispose]());

  for (const host of [far.v4, far.name, DEAD6.name]) {
    test(`CONNECT to ${host}`, () => fetches(network, host, far.v4));
  }

  test('CONNECT to an IPv6 address: no route', async () => {
    const { stderr } = await curl(network, `[${far.v6}]`);
    assert.match(stderr, /\(3\)/);
    await network.garter.record({ destination: `[${far.v6}]:80`, end: 'target:dial:ENETUNREACH' });
  });
});

test('hosts with both, and a name whose IPv6 address is silent', async () => {
  await using network = await startNetwork({
    names,
    rules: '  - { name: all, allow: any, to: [any, reserved] }',
  });
  const { proxy, server } = network.machines;
  // With a global address of its own, it prefers the global one; the server receives the packets and drops
  // them.
  await check([...proxy.prefix, 'ip', 'address', 'add', '2001:db8::1/128', 'dev', deviceTo(server), 'nodad']);
  await addRoute(proxy, '2001:db8::/32', far.v6);
  await filter(proxy, TRIED);
  await fetches(network, DEAD6.name, far.v4);
  assert.ok((await packets(proxy, 'tried')) > 0, 'IPv6 was not tried');
});
