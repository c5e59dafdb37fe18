import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Garter, reload, startGarter } from '../support/garter.ts';
import { check, run } from '../support/process.ts';
import { addCable, addMachine, addRoute, deviceTo, type Machine } from './machine.ts';

/** Garter only serves the inside. A machine outside has an inside address too, which the proxy can reach. */
const FORGED = { v4: '10.77.1.9', v6: 'fd77:1::9' } as const;
const GREETING = '\x05\x01\x00';
const METHOD = '\x05\x00';

suite('a listener with an interface', () => {
  const stack = new AsyncDisposableStack();
  let inside: Machine;
  let proxy: Machine;
  let outside: Machine;
  before(async () => {
    inside = stack.use(await addMachine('inside'));
    proxy = stack.use(await addMachine('proxy'));
    outside = stack.use(await addMachine('outside'));
    await addCable(
      { at: inside, addresses: ['10.77.1.2/24', 'fd77:1::2/64'] },
      { at: proxy, addresses: ['10.77.1.1/24', 'fd77:1::1/64'] },
    );
    await addCable(
      { at: outside, addresses: ['10.77.2.2/24', 'fd77:2::2/64', `${FORGED.v4}/32`, `${FORGED.v6}/128`] },
      { at: proxy, addresses: ['10.77.2.1/24', 'fd77:2::1/64'] },
    );
    await addRoute(outside, '10.77.1.1', '10.77.2.1');
    await addRoute(outside, 'fd77:1::1', 'fd77:2::1');
    await addRoute(proxy, FORGED.v4, '10.77.2.2');
    await addRoute(proxy, FORGED.v6, 'fd77:2::2');
  });
  after(() => stack.disposeAsync());

  const garterOn = (host: string): Promise<Garter> =>
    startGarter({
      host,
      prefix: proxy.prefix,
      listener: [`interface: ${deviceTo(inside)}`],
      config: 'accept: [{ name: inside, allow: true, from: [10.77.1.0/24, "fd77:1::/64"] }]\nengine: fast',
    });

  for (const [at, host, source, forged] of [
    ['10.77.1.1', '10.77.1.1', '10.77.1.2', FORGED.v4],
    ['0.0.0.0', '10.77.1.1', '10.77.1.2', FORGED.v4],
    ['fd77:1::1', 'fd77:1::1', 'fd77:1::2', FORGED.v6],
    ['::', 'fd77:1::1', 'fd77:1::2', FORGED.v6],
    ['::', '10.77.1.1', '10.77.1.2', FORGED.v4],
  ] as const) {
    test(`on ${at}: an inside address is accepted from inside, and refused from outside (${host})`, async () => {
      await using garter = await garterOn(at);
      assert.equal(await greet(inside, source, host, garter), METHOD);
      assert.equal(await greet(outside, forged, host, garter), '');
      const { client } = await garter.record({ end: 'policy:accept:interface' });
      assert.ok(client.includes(forged), client);
      assert.equal(await greet(inside, source, host, garter), METHOD);
    });
  }

  test('a reload changes the interface of a listener that stays open', async () => {
    await using garter = await garterOn('10.77.1.1');
    await reload(garter, (text) => text.replace(deviceTo(inside), deviceTo(outside)));
    assert.equal(await greet(inside, '10.77.1.2', '10.77.1.1', garter), '');
    assert.equal(await greet(outside, FORGED.v4, '10.77.1.1', garter), METHOD);
  });

  test('with a missing interface, clients are refused until it appears', async () => {
    await using garter = await startGarter({
      host: '10.77.1.1',
      prefix: proxy.prefix,
      listener: ['interface: later'],
      config: 'accept: [{ name: inside, allow: true, from: [10.77.1.0/24] }]\nengine: fast',
      complaint: /warning: there is no interface later/,
    });
    assert.equal(await greet(inside, '10.77.1.2', '10.77.1.1', garter), '');
    const device = deviceTo(inside);
    const rename = async (from: string, to: string): Promise<void> => {
      await check([...proxy.prefix, 'ip', 'link', 'set', from, 'down']);
      await check([...proxy.prefix, 'ip', 'link', 'set', from, 'name', to, 'up']);
    };
    await rename(device, 'later');
    assert.equal(await greet(inside, '10.77.1.2', '10.77.1.1', garter), METHOD);
    await rename('later', device);
  });
});

/** The answer of garter to a greeting from this machine and address. */
async function greet(from: Machine, source: string, host: string, { port }: Garter): Promise<string> {
  const command = ['ncat', '-w', '5', '--source', source, host, String(port)];
  return (await run([...from.prefix, ...command], { input: GREETING })).stdout;
}
