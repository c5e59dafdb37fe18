import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startGarter, type Garter } from '../support/garter.ts';
import { until, type Daemon } from '../support/process.ts';
import { connectThrough } from '../support/raw.ts';
import { closedPort, startEcho, type Target } from '../support/targets.ts';
import { startDnsmasq } from './dnsmasq.ts';

/** A loopback address that only this run uses, so that port 53 is free. */
const host = `127.54.${(process.pid >>> 8) & 255}.${process.pid & 255}`;
const NAME = '_socks5._tcp.far.test';
/** Seconds; more than the minimum that garter applies. */
const TTL = 6;

type Name = 'p1' | 'p2' | 'p3' | 'p4';
type Records = Partial<Readonly<Record<Name, readonly [priority: number, weight: number, port?: number]>>>;

suite('servers in the SRV records of dnsmasq', () => {
  const resources = new AsyncDisposableStack();
  const servers = {} as Record<Name, Garter>;
  let echo: Target;
  let dnsmasq: Daemon | undefined;
  let garter: Garter;

  /** Restarts dnsmasq with these records. */
  const publish = async (records: Records): Promise<void> => {
    await dnsmasq?.[Symbol.asyncDispose]();
    dnsmasq = await startDnsmasq([
      '--bind-interfaces',
      `--listen-address=${host}`,
      '--local=/far.test/',
      `--local-ttl=${TTL}`,
      ...Object.entries(records).flatMap(([name, [priority, weight, port = servers[name as Name].port]]) => [
        `--host-record=${name}.far.test,127.0.0.1,3600`,
        `--srv-host=${NAME},${name}.far.test,${port},${priority},${weight}`,
      ]),
    ]);
  };
  before(async () => {
    echo = resources.use(await startEcho());
    const config = 'rules: [{ name: open, allow: any, to: [loopback] }]\nworkers: 1';
    for (const name of ['p1', 'p2', 'p3', 'p4'] as const) {
      servers[name] = resources.use(await startGarter({ config }));
    }
    resources.defer(async () => dnsmasq?.[Symbol.asyncDispose]());
    garter = resources.use(
      await startGarter({
        config: `
rules: [{ name: all, allow: any, to: [loopback] }]
routes: [{ to: [any], via: found }]
upstreams: { found: { discover: ${NAME} } }
resolve: { servers: ["${host}:53"], timeout: 2s }
workers: 1`,
      }),
    );
  });
  after(() => resources.disposeAsync());

  /** Opens connections to the echo one after the other; returns how many used each server. */
  const used = async (times: number): Promise<Partial<Record<Name, number>>> => {
    const count = (await garter.records()).length;
    for (let i = 0; i < times; i++) {
      using client = await connectThrough(garter, echo);
      client.end();
      await client.rest();
    }
    const records = await until(
      async () => {
        const all = (await garter.records()).slice(count);
        return all.length >= times ? all : undefined;
      },
      () => 'records are missing',
    );
    const counts: Partial<Record<Name, number>> = {};
    for (const { route } of records) {
      const name = /^found\/(p\d)\.far\.test:/.exec(route ?? '')![1] as Name;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  };

  test('servers are chosen by weight, and looked up again after their time to live: added, removed, lost', async () => {
    await publish({ p1: [10, 75], p2: [10, 25], p3: [20, 100] });
    const { p1 = 0, p2 = 0, ...rest } = await used(200);
    assert.deepEqual(rest, {});
    assert.equal(p1 + p2, 200);
    assert.ok(p1 > 120 && p1 < 180, `${p1} of 200 by p1`);

    // Servers are removed and added, while a connection is open through one of the removed ones.
    using open = await connectThrough(garter, echo);
    await publish({ p4: [10, 0], p3: [20, 100] });
    const counts = await until(
      async () => {
        const now = await used(1);
        return now.p4 === undefined ? undefined : now;
      },
      () => 'p4 is not found',
    );
    assert.deepEqual(counts, { p4: 1 });
    assert.deepEqual(await used(20), { p4: 20 });
    open.send(Buffer.from('still here'));
    assert.equal((await open.read(10)).toString(), 'still here');

    // No name server answers: the known servers stay in use, with one warning.
    await dnsmasq![Symbol.asyncDispose]();
    dnsmasq = undefined;
    for (let i = 0; i < 3; i++) {
      await delay(TTL * 1000);
      assert.deepEqual(await used(2), { p4: 2 });
    }
    const warnings = await until(
      async () => {
        const found = (await garter.log()).filter((line) => 'service' in line);
        return found.length > 0 ? found : undefined;
      },
      () => 'nothing is said',
    );
    assert.equal(warnings.length, 1);
    assert.partialDeepStrictEqual(warnings[0], { level: 'warn', service: NAME });

    // The name server is back; the best server is down.
    await publish({ p1: [10, 0, await closedPort()], p3: [20, 0] });
    await until(
      async () => ((await used(1)).p3 === undefined ? undefined : true),
      () => 'p3 is not used',
    );
    assert.deepEqual(await used(5), { p3: 5 });
  });
});
