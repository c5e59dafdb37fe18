import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { cert, key } from '../support/certificate.ts';
import { makeDirectory } from '../support/directory.ts';
import { flood } from '../support/engines.ts';
import { startGarter, type Garter } from '../support/garter.ts';
import { address, response, startNameServer } from '../support/name-server.ts';
import { until } from '../support/process.ts';
import {
  connectThrough,
  parseHex,
  Command,
  RawClient,
  readAddress,
  replyCode,
  request5,
} from '../support/raw.ts';
import { startBlackHole, startEcho, startTarget } from '../support/targets.ts';
import { cpuTime, descriptors } from '../support/usage.ts';

/** The percentage of a core that an idle garter uses. */
async function idleLoad({ process }: Garter): Promise<number> {
  const before = await cpuTime(process.pid);
  const start = performance.now();
  await delay(3000);
  return ((await cpuTime(process.pid)) - before) / ((performance.now() - start) / 100);
}

/** The number of attempts until a client is served. */
async function untilServed(garter: Garter, target: { host: string; port: number }): Promise<number> {
  let tries = 0;
  await until(
    async () => {
      tries++;
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
  return tries;
}

function hold(garter: Garter, bytes: Uint8Array): Socket {
  const socket = connect({ host: garter.host, port: garter.port });
  socket.on('error', () => {}); // the test expects that some are refused
  socket.write(bytes);
  return socket;
}

suite('64 descriptors', () => {
  const few = ['sh', '-c', 'ulimit -n 64; exec "$0" "$@"'];

  test('120 clients: those that fit are served, the others closed with a record; no load, and room again at once', async (t: TestContext) => {
    await using echo = await startEcho();
    await using garter = await startGarter({ prefix: few });
    const bytes = Buffer.concat([parseHex('05 01 00'), request5(Command.connect, echo.host, echo.port)]);
    const clients = Array.from({ length: 120 }, () => hold(garter, bytes));
    const closed = (): number => clients.filter((client) => client.closed).length;
    const served = (): number => clients.filter((client) => !client.closed && client.bytesRead === 12).length;
    await until(
      () => closed() > 100 && served() >= 4,
      () => `${closed()} were closed, ${served()} are served`,
    );
    const open = served();
    const load = await idleLoad(garter);
    for (const client of clients) client.destroy();
    const tries = await untilServed(garter, echo);
    t.diagnostic(`${open} served, load ${load.toFixed(1)} %, served again at try ${tries}`);
    assert.ok(load < 5, `${load} %`);
    assert.ok(tries <= 100, `${tries} tries`);
    await garter.record({ end: 'limit:accept:connections' });
  });

  for (const kind of ['destinations', 'upstreams']) {
    test(`${kind} with 32 silent addresses: few attempts for each client, and others are served`, async () => {
      await using echo = await startEcho('::1');
      await using hole = await startBlackHole('0.0.0.0', echo.port);
      assert.equal(hole.port, echo.port);
      await using names = await startNameServer((asked) => {
        const silent = Array.from({ length: 32 }, (_, i) => address(asked.name, `127.0.0.${i + 1}`));
        const there = [address(asked.name, '::1')];
        if (asked.type === 'A') return [response(asked, { answers: silent })];
        return [response(asked, { answers: asked.name === 'good.test' ? there : [] })];
      });
      await using garter = await startGarter({
        prefix: few,
        config: `
workers: 1
rules: [{ name: local, allow: connect, to: [any, loopback] }]
routes:
  - { to: [good.test, "::1"], via: direct }
  - { to: [any, loopback], via: ${kind === 'destinations' ? 'direct' : `"socks5h://silent.test:${echo.port}"`} }
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"] }
timeouts: { connect: 4s }`,
      });
      const before = await descriptors(garter.process.pid);
      const stuck = Array.from({ length: 8 }, (_, i) =>
        replyCode(garter, request5(Command.connect, `silent-${i}.test`, echo.port)),
      );
      let most = 0;
      for (let i = 0; i < 15; i++) {
        await delay(100);
        most = Math.max(most, (await descriptors(garter.process.pid)) - before);
      }
      // Two for each, and eight to share.
      assert.ok(most <= 8 * 2 + 8 + 2, `${most} descriptors`);
      await untilServed(garter, { host: 'good.test', port: echo.port });
      assert.deepEqual(new Set(await Promise.all(stuck)), new Set([kind === 'destinations' ? 6 : 1]));
    });
  }

  test('120 associations that need more sockets than available: no load, and room again at once', async (t: TestContext) => {
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
    const tries = await untilServed(garter, echo);
    t.diagnostic(`load ${load.toFixed(1)} %, served again at try ${tries}`);
    assert.ok(load < 5, `${load} %`);
    assert.ok(tries <= 100, `${tries} tries`);
  });
});

test('with as many descriptors as the system allows, it starts as fast as with few', async () => {
  await using echo = await startEcho();
  const timeFor = async (limit: string): Promise<number> => {
    const start = performance.now();
    await using garter = await startGarter({ prefix: ['sh', '-c', `ulimit -n ${limit}; exec "$0" "$@"`] });
    const took = performance.now() - start;
    await untilServed(garter, echo);
    return took;
  };
  let took: readonly number[] = [];
  // A busy machine can delay one of them.
  for (let i = 0; i < 4; i++) {
    took = [await timeFor('256'), await timeFor('"$(ulimit -Hn)"')];
    if (took[1]! < 2 * took[0]!) return;
  }
  assert.fail(`${took.join(' and ')} ms`);
});

test('when memory is short, the session that uses the most is ended, over TLS too, and the others continue', async () => {
  await using echo = await startEcho();
  await using source = await startTarget((socket) => void flood(socket));
  await using directory = await makeDirectory();
  const files = [join(directory.path, 'cert.pem'), join(directory.path, 'key.pem')] as const;
  await writeFile(files[0], cert);
  await writeFile(files[1], key, { mode: 0o600 });
  await using garter = await startGarter({
    listener: [`tls: { cert: ${files[0]}, key: ${files[1]} }`],
    config: 'limits: { memory: 10MiB }\nrules: [{ name: all, allow: any, to: [loopback] }]',
  });
  const ask = async (target: { host: string; port: number }): Promise<RawClient> => {
    const client = await RawClient.connectTls(garter);
    client.send('05 01 00', request5(Command.connect, target.host, target.port));
    await client.expect('05 00  05 00 00');
    await readAddress(client);
    return client;
  };
  using modest = await ask(echo);
  using greedy = await ask(source);
  greedy.socket.pause();
  await garter.record({ end: 'limit:relay:memory' });
  modest.send(Buffer.from('still here'));
  await modest.expect(Buffer.from('still here'));
});
