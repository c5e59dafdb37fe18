import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { cert, key } from '../support/certificate.ts';
import { makeDirectory } from '../support/directory.ts';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { type Garter, reload, startGarter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { Command, RawClient, readAddress, request5 } from '../support/raw.ts';
import { startTarget, type Target } from '../support/targets.ts';

const KB = 1000;
const REPLIES = 12;

interface Link {
  readonly name: string;
  readonly tls?: true;
  /** Only the fast engine supports this. */
  readonly workers?: number;
}

const LINKS: readonly Link[] = [
  { name: 'plain' },
  { name: 'TLS', tls: true },
  ...(process.env['GARTER_ENGINE'] === 'portable'
    ? []
    : ([
        { name: 'two workers', workers: 2 },
        { name: 'two workers, TLS', tls: true, workers: 2 },
      ] as const)),
];

/** The number of bytes transferred, with times. */
class Log {
  readonly #seen: [time: number, bytes: number][] = [];

  add(bytes: number): void {
    this.#seen.push([performance.now(), bytes]);
  }

  /** Bytes since this time. */
  since(start: number): number {
    return this.#seen.reduce((sum, [time, bytes]) => (time >= start ? sum + bytes : sum), 0);
  }

  get first(): number | undefined {
    return this.#seen[0]?.[0];
  }

  static all(logs: readonly Log[]): Log {
    const all = new Log();
    all.#seen.push(...logs.flatMap((log) => log.#seen).toSorted(([a], [b]) => a - b));
    return all;
  }

  /** The largest number of bytes in any period of this length, since this time. */
  most(span: number, start: number): number {
    let most = 0;
    let sum = 0;
    let from = 0;
    const seen = this.#seen.filter(([time]) => time >= start);
    for (const [time, bytes] of seen) {
      sum += bytes;
      for (; seen[from]![0] <= time - span; from++) sum -= seen[from]![1];
      most = Math.max(most, sum);
    }
    return most;
  }
}

function rules(limit: string): string {
  return `rules: [{ name: slow, allow: any, to: [loopback], limit: { ${limit} } }]`;
}

interface Scene extends AsyncDisposable {
  readonly garter: Garter;
  readonly target: Target;
  readonly link: Link;
  /** The bytes that arrived at the target, by connection. */
  readonly arrived: readonly Log[];
  reload(limit: string): Promise<void>;
}

/** A server with this limit, and a target that sends `download` bytes and accepts everything. */
async function startScene(link: Link, limit: string, download = 0): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await makeDirectory()).path;
  await Promise.all([
    writeFile(join(directory, 'cert'), cert),
    writeFile(join(directory, 'key'), key, { mode: 0o600 }),
  ]);
  const garter = stack.use(
    await startGarter({
      config: [
        ...(link.workers === undefined ? [] : ['engine: fast', `workers: ${link.workers}`]),
        rules(limit),
      ].join('\n'),
      listener: link.tls ? [`tls: { cert: ${directory}/cert, key: ${directory}/key }`] : [],
      ...(link.workers !== undefined && { env: { GARTER_ENGINE: '' } }),
    }),
  );
  const arrived: Log[] = [];
  const target = stack.use(
    await startTarget((socket) => {
      const log = new Log();
      arrived.push(log);
      socket.on('data', (chunk: Buffer) => log.add(chunk.length));
      if (download > 0) socket.write(Buffer.alloc(download));
    }),
  );
  const resources = stack.move();
  return {
    garter,
    target,
    link,
    arrived,
    reload: (of) => reload(garter, (text) => text.replace(rules(limit), rules(of))),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

interface Client extends Disposable {
  readonly socket: Socket;
  /** Bytes received from the target. */
  readonly log: Log;
}

/** Sends greeting, request and `glued` in one piece; resolves when the reply has arrived. */
async function open({ garter, target, link }: Scene, glued: Uint8Array = Buffer.of()): Promise<Client> {
  const tcp = connectTcp({ host: garter.host, port: garter.port });
  const socket = link.tls ? connectTls({ socket: tcp, rejectUnauthorized: false }) : tcp;
  socket.on('error', () => undefined);
  await once(socket, link.tls ? 'secureConnect' : 'connect');
  const log = new Log();
  let head = REPLIES;
  const replied = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      const rest = chunk.length - head;
      head = Math.max(0, -rest);
      if (rest > 0) log.add(rest);
      if (head === 0) resolve();
    });
  });
  socket.write(
    Buffer.concat([Buffer.of(5, 1, 0), request5(Command.connect, target.host, target.port), glued]),
  );
  await replied;
  return { socket, log, [Symbol.dispose]: () => void tcp.resetAndDestroy() };
}

/** Sends as fast as possible. */
function flood({ socket }: Client): void {
  const chunk = Buffer.alloc(16 * KB);
  const fill = (): void => {
    while (socket.writable && socket.write(chunk));
  };
  socket.on('drain', fill);
  fill();
}

/** Opens this many sessions at once. */
function openMany(scene: Scene, count: number, glued?: Uint8Array): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => open(scene, glued)));
}

/** Retries, since on a busy machine bytes that should pass one by one can arrive together. */
async function oneOf(tries: number, attempt: () => Promise<void>): Promise<void> {
  try {
    await attempt();
  } catch (error) {
    if (tries === 1) throw error;
    await delay(2000); // what it has had beyond its share
    await oneOf(tries - 1, attempt);
  }
}

/** Asserts that the bytes so far fit the rate, with an allowance for catching up. */
function assertSlow(log: Log, rate: number, start: number): void {
  const [bytes, seconds] = [log.since(start), (performance.now() - start) / 1000];
  assert.ok(bytes > 0 && bytes < rate * (seconds + 0.2), `${bytes} bytes in ${seconds} s`);
}

suite('a rule with a bandwidth', { concurrency: 2 }, () => {
  for (const link of LINKS) {
    test(`limits 150 short sessions, in both directions: ${link.name}`, async () => {
      const rate = 50 * KB;
      const payload = Buffer.alloc(60 * KB);
      await using scene = await startScene(link, `bandwidth: ${rate}B/s`, payload.length);
      using held = new DisposableStack();
      const opening = performance.now();
      const [glued, others] = await Promise.all([openMany(scene, 75, payload), openMany(scene, 75)]);
      const clients = [...glued, ...others];
      for (const client of clients) held.use(client);
      for (const { socket } of others) socket.write(payload);
      const ways = [scene.arrived, clients.map((client) => client.log)];
      await oneOf(4, async () => {
        const start = performance.now();
        await delay(4000);
        for (const way of ways) {
          const [log, seconds] = [Log.all(way), (performance.now() - opening) / 1000];
          const bytes = log.since(opening);
          assert.ok(bytes <= 1.1 * seconds * rate + 65_536, `${bytes} bytes in ${seconds} s`);
          assert.ok(bytes > 3 * rate, 'it is used');
          const most = log.most(2000, start);
          assert.ok(most <= 1.1 * 2 * rate + 65_536, `${most} bytes in two seconds`);
        }
      });
      // A newcomer does not wait for the backlog of the others.
      await oneOf(4, async () => {
        const start = performance.now();
        const { log: down } = held.use(await open(scene, Buffer.from('x')));
        const up = scene.arrived.at(-1)!;
        for (const [i, log] of [up, down].entries()) {
          const first = await until(
            () => log.first,
            () => 'the newcomer gets nothing',
          );
          const passed = Log.all(ways[i]!).since(start) - Log.all(ways[i]!).since(first);
          assert.ok(passed < rate + 65_536, `the newcomer waits for ${passed} bytes of others`);
        }
      });
      // Nor does it pay for that backlog afterwards.
      for (const client of clients) client[Symbol.dispose]();
      flood(held.use(await open(scene)));
      await oneOf(4, async () => {
        const before = performance.now();
        await delay(2000);
        const [alone, seconds] = [scene.arrived.at(-1)!.since(before), (performance.now() - before) / 1000];
        assert.ok(alone > 0.5 * rate * seconds, `${alone} bytes in ${seconds} s`);
      });
    });

    test(`gives each session what it needs, up to an equal share: ${link.name}`, async () => {
      const [rate, little, many] = [400 * KB, 20 * KB, 12];
      await using scene = await startScene(link, `bandwidth: ${rate}B/s`);
      using held = new DisposableStack();
      const modest = held.use(await open(scene));
      for (const client of await openMany(scene, many)) flood(held.use(client));
      let sent = performance.now();
      // In proportion to the elapsed time: on a busy machine the timer is late.
      const timer = setInterval(() => {
        const now = performance.now();
        modest.socket.write(Buffer.alloc(Math.ceil(((now - sent) / 1000) * little)));
        sent = now;
      }, 50);
      held.defer(() => clearInterval(timer));
      await delay(1000);
      const measure = async (): Promise<string | undefined> => {
        const start = performance.now();
        await delay(3000);
        const seconds = (performance.now() - start) / 1000;
        const [least, ...most] = scene.arrived.map((log) => log.since(start) / seconds);
        const shares = most.map((each) => each / ((rate - little) / many));
        const all = most.reduce((sum, each) => sum + each, least!);
        if (least! <= 0.75 * little) return `of ${little} it needs, one gets ${least}`;
        if (Math.min(...shares) <= 0.75 || Math.max(...shares) >= 1.25) return shares.join(' ');
        return all > 0.9 * rate && all < 1.1 * rate ? undefined : `${all} of ${rate}`;
      };
      // A busy machine can delay one of them, or this test.
      let fault: string | undefined;
      for (let i = 0; i < 4; i++) if ((fault = await measure()) === undefined) break;
      assert.equal(fault, undefined);
    });
  }

  for (const limit of ['bandwidth', 'bandwidth-per-session']) {
    test(`${limit}: bytes before the relay count too, directly, through an upstream, and in a BIND`, async () => {
      const rate = 50 * KB;
      const payload = Buffer.alloc(60 * KB);
      await using scene = await startScene(LINKS[0]!, `${limit}: ${rate}B/s`, payload.length);
      const { garter } = scene;
      await using near = await startGarter({
        config: [
          `rules: [{ name: slow, allow: any, to: [any, loopback], limit: { ${limit}: ${rate}B/s } }]`,
          'routes: [{ to: [any, loopback], via: far }]',
          `upstreams: { far: "socks5://127.0.0.1:${garter.port}" }`,
        ].join('\n'),
      });
      for (const through of [garter, near]) {
        await oneOf(4, async () => {
          const start = performance.now();
          using client = await open({ ...scene, garter: through }, payload);
          await delay(500);
          assertSlow(scene.arrived.at(-1)!, rate, start);
          assertSlow(client.log, rate, start);
        });
      }
      await oneOf(4, async () => {
        using client = await RawClient.connect(garter);
        client.send('05 01 00', request5(Command.bind, '127.0.0.1', 0));
        await client.expect('05 00  05 00 00');
        const start = performance.now();
        using peer = await RawClient.connect(await readAddress(client));
        peer.send(payload);
        await client.expect('05 00 00');
        await readAddress(client);
        client.send(payload);
        const [down, up] = [new Log(), new Log()];
        client.socket.on('data', (chunk: Buffer) => down.add(chunk.length));
        peer.socket.on('data', (chunk: Buffer) => up.add(chunk.length));
        await delay(500);
        assertSlow(down, rate, start);
        assertSlow(up, rate, start);
      });
    });
  }

  for (const size of [KB, 50 * KB]) {
    test(`datagrams of ${size} bytes and streams both get a share`, async () => {
      const rate = 200 * KB;
      await using scene = await startScene(LINKS[0]!, `bandwidth: ${rate}B/s`);
      using held = new DisposableStack();
      for (const client of await openMany(scene, 4)) flood(held.use(client));
      using far = await Datagrams.bind('127.0.0.1');
      using association = await associate(scene.garter);
      using near = await Datagrams.bind('127.0.0.1');
      const datagram = frame(far, Buffer.alloc(size));
      const timer = setInterval(() => {
        for (let i = 0; i < 20; i++) void near.send(datagram, association.relay);
      }, 20);
      held.defer(() => clearInterval(timer));
      await delay(500);
      const [start, before] = [performance.now(), far.waiting];
      await delay(3000);
      const bytes = (rate * (performance.now() - start)) / 1000;
      const streams = Log.all(scene.arrived).since(start) / bytes;
      const datagrams = ((far.waiting - before) * size) / bytes;
      assert.ok(streams > 0.35 && datagrams > 0.2, `${streams} and ${datagrams} of it`);
      // One datagram may belong to the time before.
      assert.ok(streams + datagrams < 1.1 + size / bytes, `${streams} and ${datagrams} of it`);
    });
  }

  test('when a reload removes it, waiting sessions continue at once', async () => {
    await using scene = await startScene(LINKS[0]!, 'bandwidth: 10B/s');
    using held = new DisposableStack();
    const payload = Buffer.alloc(500 * KB);
    const clients = await openMany(scene, 20, payload);
    for (const client of clients) held.use(client);
    await delay(500);
    await scene.reload('idle: 1h');
    await until(
      () => Log.all(scene.arrived).since(0) === clients.length * payload.length,
      () => 'they still wait',
    );
  });
});
