import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { startGarter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { Command, parseHex, request5 } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';
import { memory } from '../support/usage.ts';

const MIB = 1 << 20;

/** A memory cgroup of its own, of whichever version the machine has. */
interface Cgroup extends AsyncDisposable {
  /** In front of a command: runs it inside. */
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

test('in a container of 160 MiB: newcomers are refused, those who are there go on, and nothing is killed', async (t: TestContext) => {
  await using echo = await startEcho();
  await using cgroup = await makeCgroup(160 * MIB);
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
      socket.on('error', () => {}); // the refusal that is waited for
      socket.write(bytes);
    });
  // Ten times what fits, as fast as it goes.
  for (let i = 0; i < 9000 && sockets.filter((socket) => !isIn(socket)).length < 500; i += 100) {
    sockets.push(...(await Promise.all(Array.from({ length: 100 }, (__, j) => join(i + j)))));
  }
  const inside = sockets.filter(isIn);
  const most = await memory(garter.process.pid);
  t.diagnostic(`${inside.length} of ${sockets.length} came in; ${first} MiB at first, ${most} MiB at most`);
  assert.ok(inside.length > 200, `${inside.length} came in`);
  assert.ok(sockets.length - inside.length >= 500, 'nobody was refused');
  await garter.record({ end: 'limit:accept:memory' });
  // Those who are there still have what they came for.
  for (const socket of inside.filter((__, i) => i % 50 === 0)) {
    const before = socket.bytesRead;
    socket.write('still here');
    await until(
      () => (socket.bytesRead >= before + 10 ? true : undefined),
      () => 'an old session is dead',
    );
  }
  assert.equal(await cgroup.kills(), 0);
  for (const socket of inside) socket.destroy();
  // When they have gone there is room again.
  await until(
    async () => {
      const socket = await join(0);
      const served = isIn(socket);
      socket.destroy();
      return served ? true : undefined;
    },
    () => 'no room again',
    30_000,
  );
});

function isIn(socket: Socket): boolean {
  return !socket.destroyed && socket.bytesRead >= 2;
}
