import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { cert, key } from '../support/certificate.ts';
import { makeDirectory } from '../support/directory.ts';
import { type Garter, OPEN, startGarter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { Command, connectThrough, parseHex, RawClient, request5 } from '../support/raw.ts';
import { sized } from '../support/size.ts';
import { startEcho, startTarget, type Target } from '../support/targets.ts';
import { descriptorLimit, descriptors, memory } from '../support/usage.ts';

/** Connections kept open at the same time. */
const LANES = 32;
const IN_SEQUENCE = sized(50_000, 10_000);
const RESETS = sized(100_000, 3000);
const TLS_RESETS = sized(20_000, 600);
const IDLE = sized(9000, 2000);
/** Bytes of the method selection and of the reply. */
const HANDSHAKE = 2 + 10;
/** MiB of heap, so that memory in use shows retained objects and not those still to be collected. */
const HEAP = 160;
/** MiB that memory may still grow when the same load is repeated. */
const GROWTH = 48;

suite('endurance', () => {
  let garter: Garter;
  let echo: Target;
  /** Descriptors of garter without connections. */
  let atFirst: number;
  before(async () => {
    // With several threads there would be several heaps, each of which grows before it is collected.
    garter = await startGarter({
      config: 'workers: 1',
      env: { NODE_OPTIONS: `--max-old-space-size=${HEAP}` },
    });
    echo = await startEcho('0.0.0.0');
    atFirst = await descriptors(garter.process.pid);
  });
  after(async () => {
    await echo[Symbol.asyncDispose]();
    await garter[Symbol.asyncDispose]();
  });

  const dial = (i: number): Socket =>
    connect({ host: garter.host, port: garter.port, localAddress: loopback(i), noDelay: true });
  const request = (socket: Socket, i: number): Socket => {
    socket.write(Buffer.concat([parseHex('05 01 00'), request5(Command.connect, loopback(i), echo.port)]));
    return socket;
  };

  /** Waits until no connection is open. */
  const settle = async (): Promise<void> => {
    let left = 0;
    await until(
      async () => (left = (await descriptors(garter.process.pid)) - atFirst) <= 0,
      () => `${left} descriptors are left open`,
    );
  };

  test(`${IN_SEQUENCE} connections in sequence leave nothing but their records`, async (t: TestContext) => {
    const { pid } = garter.process;
    const message = Buffer.alloc(100, 'x');
    const one = async (i: number): Promise<void> => {
      const socket = request(dial(i), i);
      socket.write(message);
      await receive(socket, HANDSHAKE + message.length);
      socket.end();
      await once(socket, 'close');
    };
    await inLanes(IN_SEQUENCE / 5, one);
    const warm = await memory(pid);
    await inLanes((IN_SEQUENCE * 4) / 5, one);
    await settle();
    const end = await memory(pid);
    t.diagnostic(`${warm} MiB after a fifth of the connections, ${end} MiB after all`);
    assert.ok(end - warm < GROWTH, `${warm} MiB became ${end} MiB`);
    const records = await until(
      async () => {
        const all = await garter.records();
        return all.length >= IN_SEQUENCE && all;
      },
      () => 'records are missing',
    );
    assert.equal(records.length, IN_SEQUENCE);
    assert.ok(records.every(({ sent, received }) => sent === message.length && received === message.length));
  });

  test(`${RESETS} resets, in every phase`, async (t: TestContext) => {
    const began = performance.now();
    await inLanes(RESETS, async (i) => {
      const socket = dial(i);
      const closed = once(socket, 'close');
      await once(socket, 'connect');
      const phase = i % 6;
      if (phase === 1) socket.write(parseHex('05 01'));
      if (phase >= 2) request(socket, i);
      if (phase >= 3) await receive(socket, HANDSHAKE);
      if (phase >= 4) socket.write(Buffer.alloc(50_000));
      if (phase >= 5) await receive(socket, 10_000);
      socket.resetAndDestroy();
      await closed;
    });
    await settle();
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const { pid } = garter.process;
    t.diagnostic(
      `${seconds} s, ${await memory(pid)} MiB, ${(await descriptors(pid)) - atFirst} descriptors left`,
    );
    using client = await connectThrough(garter, echo);
    client.send(Buffer.from('alive'));
    await client.expect(Buffer.from('alive'));
  });

  const links = [
    { title: 'over TLS', behind: false },
    { title: 'over TLS, to an upstream over TLS', behind: true },
  ] as const;
  for (const { title, behind } of links) {
    test(`${TLS_RESETS} resets ${title}, in every phase, with answers under way`, async (t: TestContext) => {
      await using directory = await makeDirectory();
      const files = [join(directory.path, 'cert.pem'), join(directory.path, 'key.pem')] as const;
      await writeFile(files[0], cert);
      await writeFile(files[1], key, { mode: 0o600 });
      await using source = await startTarget((socket) => socket.resume().end(Buffer.alloc(100_000)));
      const startSecure = (more = ''): Promise<Garter> =>
        startGarter({
          // No time-out hides an unnoticed reset, and there is no room for many of those.
          config: `workers: 2\nlimits: { connections: 300 }\ntimeouts: { half-close: 1h }\n${more}`,
          complaint: /^(?:.*"event":"(?:session|sessions)".*\n)*$/,
          listener: ['protocols: [socks5, http]', `tls: { cert: ${files[0]}, key: ${files[1]} }`],
        });
      await using far = await startSecure();
      const url = `socks5h+tls://${far.host}:${far.port}`;
      await using near = behind
        ? await startSecure(`
${OPEN}
routes: [{ to: [any], via: far }]
upstreams: { far: { url: "${url}", tls: { ca: ${files[0]}, name: localhost } } }
`)
        : undefined;
      const secure = near ?? far;
      const requests = [
        Buffer.concat([parseHex('05 01 00'), request5(Command.connect, source.host, source.port)]),
        Buffer.from(`CONNECT ${source.host}:${source.port} HTTP/1.1\r\n\r\n`),
        Buffer.concat([parseHex('05 01 00'), request5(Command.bind, '127.0.0.1', 0)]),
        Buffer.concat([parseHex('05 01 00'), request5(Command.associate, '0.0.0.0', 0)]),
      ];
      await inLanes(TLS_RESETS, async (i) => {
        const below = connect({
          host: secure.host,
          port: secure.port,
          noDelay: true,
          localAddress: loopback(i),
        });
        const closed = once(below, 'close');
        const client = connectTls({ socket: below, ca: cert, servername: 'localhost' });
        client.on('error', () => {}); // it is cut off
        const phase = i % 8;
        await once(phase === 0 ? below : client, phase === 0 ? 'connect' : 'secureConnect');
        if (phase >= 2)
          client.write(Buffer.concat([requests[i % 4]!, Buffer.alloc(phase < 4 ? 0 : (i * 997) % 200_000)]));
        // On a busy machine the server may give up first.
        if (phase === 6) await Promise.race([once(client, 'data').catch(() => {}), closed]);
        if (phase === 7) await delay(i % 20);
        below.resetAndDestroy();
        await closed;
      });
      for (const one of new Set([secure, far])) await untilIdle(one);
      const { pid } = secure.process;
      t.diagnostic(`${await memory(pid)} MiB, ${await descriptors(pid)} descriptors`);
      using client = await RawClient.connectTls(secure);
      client.send('05 01 00', request5(Command.connect, loopback(0), echo.port));
      await client.expect('05 00  05 00');
    });
  }

  test(`${IDLE} idle connections, three times: the third time uses no more memory than the first`, async (t: TestContext) => {
    const needed = 2 * IDLE + 500;
    if ((await descriptorLimit()) < needed) {
      // Required in CI; elsewhere the limit of the machine may be too low.
      assert.notEqual(process.env['CI'], 'true', `${needed} descriptors`);
      t.skip(`one process needs ${needed} descriptors, see ulimit -Hn`);
      return;
    }
    const { pid } = garter.process;
    const hold = async (): Promise<number> => {
      await settle();
      const sockets = Array.from<Socket>({ length: IDLE });
      await inLanes(IDLE, async (i) => {
        sockets[i] = request(dial(i), i);
        await receive(sockets[i], HANDSHAKE);
      });
      assert.equal((await descriptors(pid)) - atFirst, 2 * IDLE, 'both ends of each are open');
      const held = await memory(pid);
      for (const socket of sockets) socket.destroy();
      return held;
    };
    const first = await hold();
    const second = await hold();
    const third = await hold();
    t.diagnostic(`${first}, ${second} and ${third} MiB with ${IDLE} idle connections`);
    assert.ok(third - first < GROWTH, `${first} MiB became ${third} MiB`);
  });
});

/** Waits until no session is open. */
async function untilIdle({ process }: Garter): Promise<void> {
  let open = '';
  await until(
    () => {
      process.signal('SIGUSR2');
      open = process.stderr().trimEnd().split('\n').at(-1) ?? '';
      return open.endsWith('"open":0}');
    },
    () => `${open}: ${process.stderr().slice(-2000)}`,
  );
}

/** One of 200 loopback addresses, so that none runs out of ports. */
function loopback(i: number): string {
  return `127.0.0.${1 + (i % 200)}`;
}

/** Waits for this many bytes; rejects when the socket closes first. */
function receive(socket: Socket, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = 0;
    const take = (chunk: Buffer): void => {
      received += chunk.length;
      if (received < count) return;
      socket.off('data', take);
      resolve();
    };
    socket.on('data', take);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`closed after ${received} of ${count} bytes`)));
  });
}

async function inLanes(count: number, one: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}
