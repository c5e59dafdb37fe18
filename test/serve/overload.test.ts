import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { suite, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { startGarter, type Garter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { connectThrough, parseHex, Command, request5 } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';
import { cpuTime } from '../support/usage.ts';

/** What garter uses of a core while nothing should happen, in percent. */
async function idleLoad({ process }: Garter): Promise<number> {
  const before = await cpuTime(process.pid);
  const start = performance.now();
  await delay(3000);
  return ((await cpuTime(process.pid)) - before) / ((performance.now() - start) / 100);
}

/** Milliseconds until somebody is served. */
async function untilServed(garter: Garter, target: { host: string; port: number }): Promise<number> {
  const start = performance.now();
  await until(
    async () => {
      try {
        using client = await connectThrough(garter, target);
        client.send(Buffer.from('x'));
        await client.expect(Buffer.from('x'));
        return true;
      } catch {
        return undefined;
      }
    },
    () => 'nobody is served',
  );
  return performance.now() - start;
}

function hold(garter: Garter, bytes: Uint8Array): Socket {
  const socket = connect({ host: garter.host, port: garter.port });
  socket.on('error', () => {}); // it may be refused: that is what the test is about
  socket.write(bytes);
  return socket;
}

suite('64 descriptors', () => {
  const few = ['sh', '-c', 'ulimit -n 64; exec "$0" "$@"'];

  test('120 clients: those that fit are served, the rest closed with a record; no load, and room again at once', async (t: TestContext) => {
    await using echo = await startEcho();
    await using garter = await startGarter({ prefix: few });
    const bytes = Buffer.concat([parseHex('05 01 00'), request5(Command.connect, echo.host, echo.port)]);
    const clients = Array.from({ length: 120 }, () => hold(garter, bytes));
    const closed = (): number => clients.filter((client) => client.closed).length;
    const served = (): number => clients.filter((client) => !client.closed && client.bytesRead === 12).length;
    await until(
      () => (closed() > 100 && served() >= 4 ? true : undefined),
      () => `${closed()} were closed, ${served()} are served`,
    );
    const open = served();
    const load = await idleLoad(garter);
    for (const client of clients) client.destroy();
    const wait = await untilServed(garter, echo);
    t.diagnostic(`${open} served, load ${load.toFixed(1)} %, served again after ${Math.round(wait)} ms`);
    assert.ok(load < 5, `${load} %`);
    assert.ok(wait < 2000, `${wait} ms`);
    await garter.record({ end: 'limit:accept:connections' });
  });

  test('120 associations with more sockets than there are: no load, and room again at once', async (t: TestContext) => {
    await using echo = await startEcho();
    await using garter = await startGarter({ prefix: few });
    using six = await Datagrams.bind('::1');
    using four = await Datagrams.bind('127.0.0.1');
    const associations = await Promise.allSettled(Array.from({ length: 120 }, () => associate(garter)));
    using open = new DisposableStack();
    for (const outcome of associations) {
      if (outcome.status === 'rejected') continue;
      open.use(outcome.value);
      using client = await Datagrams.bind('127.0.0.1');
      await client.send(frame(six, 'x'), outcome.value.relay);
      await client.send(frame(four, 'x'), outcome.value.relay);
    }
    const load = await idleLoad(garter);
    open.dispose();
    const wait = await untilServed(garter, echo);
    t.diagnostic(`load ${load.toFixed(1)} %, served again after ${Math.round(wait)} ms`);
    assert.ok(load < 5, `${load} %`);
    assert.ok(wait < 2000, `${wait} ms`);
  });
});

test('as many descriptors as the system gives: it starts at once', async () => {
  const most = ['sh', '-c', 'ulimit -n "$(ulimit -Hn)"; exec "$0" "$@"'];
  await using echo = await startEcho();
  const start = performance.now();
  await using garter = await startGarter({ prefix: most });
  const took = performance.now() - start;
  assert.ok(took < 3000, `${took} ms`);
  await untilServed(garter, echo);
});
