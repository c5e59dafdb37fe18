import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Endpoint } from '../../src/wire/address.ts';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { startGarter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { Command, parseHex, request5 } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';
import { memory } from '../support/usage.ts';

const MIB = 1 << 20;
const ASSOCIATIONS = 60;
/** Per association. */
const DESTINATIONS = 4096;

/** A new memory cgroup, of the version that the machine uses. */
interface Cgroup extends AsyncDisposable {
  /** Put in front of a command to run it inside. */
  readonly prefix: readonly string[];
  readonly kills: () => Promise<number>;
}

async function makeCgroup(limit: number): Promise<Cgroup> {
  const first = existsSync('/sys/fs/cgroup/memory');
  const folder = `/sys/fs/cgroup/${first ? 'memory/' : ''}garter-test-${process.pid}`;
  await mkdir(folder);
  await writeFile(`${folder}/${first ? 'memory.limit_in_bytes' : 'memory.max'}`, String(limit));
  const events = `${folder}/${first ? 'memory.oom_control' : 'memory.events'}`;
  return {
    prefix: ['sh', '-c', `echo $$ >${folder}/cgroup.procs && exec "$0" "$@"`],
    kills: async () => Number(/^oom_kill (\d+)$/m.exec(await readFile(events, 'utf8'))?.[1]),
    [Symbol.asyncDispose]: () => rmdir(folder),
  };
}

test('in a container of 140 MiB: newcomers are refused, open sessions continue, and nothing is killed', async (t: TestContext) => {
  await using echo = await startEcho();
  await using cgroup = await makeCgroup(140 * MIB);
  await using garter = await startGarter({
    prefix: cgroup.prefix,
    config: 'limits: { unauthenticated: 20000:100:20000 }',
  });
  const first = await memory(garter.process.pid);
  const bytes = Buffer.concat([parseHex('05 01 00'), request5(Command.connect, echo.host, echo.port)]);
  const sockets: Socket[] = [];
  using _ = { [Symbol.dispose]: () => sockets.forEach((socket) => socket.destroy()) };
  const join = (i: number): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connect({
        host: garter.host,
        port: garter.port,
        localAddress: `127.0.0.${1 + (i % 50)}`,
      });
      socket.once('data', () => resolve(socket)).once('close', () => resolve(socket));
      socket.on('error', () => {}); // refusals are expected
      socket.write(bytes);
    });
  // Ten times what fits, as fast as possible.
  for (let i = 0; i < 9000 && sockets.filter((socket) => !isIn(socket)).length < 500; i += 100) {
    sockets.push(...(await Promise.all(Array.from({ length: 100 }, (__, j) => join(i + j)))));
  }
  const inside = sockets.filter(isIn);
  const most = await memory(garter.process.pid);
  t.diagnostic(`${inside.length} of ${sockets.length} came in; ${first} MiB at first, ${most} MiB at most`);
  assert.ok(inside.length > 200, `${inside.length} came in`);
  assert.ok(sockets.length - inside.length >= 500, 'nobody was refused');
  await garter.record({ end: 'limit:accept:memory' });
  // Open sessions still work.
  for (const socket of inside.filter((__, i) => i % 50 === 0)) {
    const before = socket.bytesRead;
    socket.write('still here');
    await until(
      () => socket.bytesRead >= before + 10,
      () => 'an old session is dead',
    );
  }
  assert.equal(await cgroup.kills(), 0);
  for (const socket of inside) socket.destroy();
  // When they have ended, there is room again.
  await until(
    async () => {
      const socket = await join(0);
      const served = isIn(socket);
      socket.destroy();
      return served;
    },
    () => 'no room again',
  );
});

for (const [what, limits] of [
  ['a container of 256 MiB', {}],
  ['a heap of 40 MiB', { env: { NODE_OPTIONS: '--max-old-space-size=40' } }],
] as const) {
  test(`associations with the maximum of destinations, in ${what}: the oldest are forgotten, and everything continues`, async (t: TestContext) => {
    await using cgroup = await makeCgroup(('env' in limits ? 1000 : 256) * MIB);
    await using garter = await startGarter({
      prefix: cgroup.prefix,
      config: 'rules: [{ name: local, allow: udp, to: [loopback] }]',
      ...limits,
    });
    using target = await Datagrams.bind('127.0.0.1');
    using client = await Datagrams.bind('127.0.0.1');
    using held = new DisposableStack();
    const first = await memory(garter.process.pid);
    const passes = async (relay: Endpoint): Promise<void> => {
      await until(
        async () => {
          await client.send(frame(target, 'x'), relay);
          await delay(20);
          return target.waiting > 0;
        },
        () => 'nothing passes',
      );
      while (target.waiting > 0) await target.receive();
    };
    const old = held.use(await associate(garter));
    const relays: Endpoint[] = [];
    for (let i = 0; i < ASSOCIATIONS; i++) relays.push(held.use(await associate(garter)).relay);
    await passes(old.relay);
    for (const relay of relays) {
      for (let i = 0; i < DESTINATIONS; i++) {
        const sent = client.send(frame({ host: `127.${1 + (i >> 8)}.${i & 255}.9`, port: 9 }, 'x'), relay);
        if (i % 64 === 63) await sent;
      }
    }
    await passes(relays.at(-1)!);
    const most = await memory(garter.process.pid);
    t.diagnostic(
      `${first} MiB at first, ${most} MiB with ${ASSOCIATIONS} times ${DESTINATIONS} destinations`,
    );
    await passes(old.relay);
    assert.equal(await cgroup.kills(), 0);
  });
}

function isIn(socket: Socket): boolean {
  return !socket.destroyed && socket.bytesRead >= 2;
}
