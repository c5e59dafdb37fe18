import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startGarter } from '../support/garter.ts';
import { check, start, until } from '../support/process.ts';
import { cpuTime, descriptors, memory } from '../support/usage.ts';

const SESSIONS = 4000;
const SECONDS = 120;
/** Descriptors of the pipes that the fast engine keeps. */
const PIPES = 256;

/**
 * Clients that connect to a target that never stops sending, read the reply and then stop reading. At SIGUSR2
 * the first ten of them read on, until each has received ten megabytes.
 */
const CLIENTS = `
  import { once } from 'node:events';
  import { connect, createServer } from 'node:net';
  const [port, sessions] = process.argv.slice(1).map(Number);
  const chunk = Buffer.alloc(16384, 'x');
  const target = createServer((socket) => {
    const fill = () => { while (socket.writable && socket.write(chunk)); };
    socket.on('drain', fill).on('error', () => {});
    fill();
  }).listen(0, '127.0.0.1');
  await once(target, 'listening');
  const to = target.address().port;
  const request = Buffer.of(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, to >> 8, to & 255);
  const clients = [];
  const one = async (i) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.' + (1 + (i % 100)) });
    socket.on('error', () => {});
    socket.write(request);
    let got = 0;
    for (; got < 12 && !socket.destroyed; got += socket.read()?.length ?? 0) await once(socket, 'readable');
    socket.pause();
    clients.push(socket);
  };
  for (let i = 0; i < sessions; i += 50) await Promise.all(Array.from({ length: 50 }, (_, j) => one(i + j)));
  console.log('stalled');
  process.on('SIGUSR2', () => {
    const first = clients.slice(0, 10).map((socket) => {
      let got = 0;
      return new Promise((resolve) => socket.on('data', (data) => (got += data.length) > 1e7 && resolve()).resume());
    });
    Promise.all(first).then(() => console.log('flowing'));
  });
`;

test(`${SESSIONS} clients that read nothing, for ${SECONDS} s: memory and load remain constant`, async (t: TestContext) => {
  const name = `garter-${process.pid}-stalled`;
  await using stack = new AsyncDisposableStack();
  await check(['ip', 'netns', 'add', name]);
  stack.defer(async () => void (await check(['ip', 'netns', 'delete', name])));
  const prefix = ['ip', 'netns', 'exec', name];
  await check([...prefix, 'ip', 'link', 'set', 'lo', 'up']);
  // Kernel buffers are not measured, and with the defaults they would take gigabytes.
  for (const queue of ['rmem', 'wmem']) {
    await check([...prefix, 'sysctl', '-q', '-w', `net.ipv4.tcp_${queue}=4096 16384 65536`]);
  }
  const garter = stack.use(await startGarter({ prefix }));
  const { pid } = garter.process;
  const atFirst = [await descriptors(pid), await memory(pid)] as const;
  const command = [...prefix, process.execPath, '--input-type=module', '-e', CLIENTS];
  {
    await using clients = await start([...command, String(garter.port), String(SESSIONS)], {
      ready: /stalled/,
    });
    const used = (await descriptors(pid)) - atFirst[0];
    assert.ok(used >= 2 * SESSIONS && used <= 2 * SESSIONS + PIPES, `${used} descriptors`);
    const samples: number[] = [];
    const busy = await cpuTime(pid);
    for (let second = 0; second < SECONDS; second += 10) {
      await delay(10_000);
      samples.push(await memory(pid));
    }
    const load = ((await cpuTime(pid)) - busy) / (SECONDS * 10);
    t.diagnostic(
      `${atFirst[1]} MiB at first; every 10 s ${samples.join(', ')} MiB; load ${load.toFixed(1)} %`,
    );
    assert.ok(samples.at(-1)! - samples[0]! < 20, `${samples.join(', ')} MiB`);
    // A chunk of 64 KiB, and the memory that Node needs for two sockets.
    const perSession = ((samples.at(-1)! - atFirst[1]) * 1024) / SESSIONS;
    assert.ok(perSession < 160, `${perSession} KiB for each`);
    assert.ok(load < 5, `${load} %`);
    clients.signal('SIGUSR2');
    await until(
      () => clients.stdout().includes('flowing'),
      () => 'nothing flows',
    );
  }
  await until(
    async () => (await descriptors(pid)) <= atFirst[0],
    () => 'descriptors are left',
  );
});
