import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Log } from '../../src/audit/log.ts';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand } from '../support/garter.ts';
import { check, start, until } from '../support/process.ts';
import { connectThrough } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

/** A disk of 8 KiB. */
interface Disk extends AsyncDisposable {
  readonly path: string;
  /** Grows to 16 MiB. */
  readonly grow: () => Promise<unknown>;
}

async function mountDisk(): Promise<Disk> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await makeDirectory());
  await check(['mount', '-t', 'tmpfs', '-o', 'size=8k', 'disk', path]);
  stack.defer(async () => void (await check(['umount', '--lazy', path])));
  const resources = stack.move();
  return {
    path,
    grow: () => check(['mount', '-o', 'remount,size=16m', path]),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function linesOf(file: string): Promise<string[]> {
  return (await readFile(file, 'utf8')).split('\n').slice(0, -1);
}

async function untilFault(log: Log, fault: string | undefined): Promise<void> {
  await until(
    () => log.fault === fault,
    () => `the fault is ${log.fault}`,
  );
}

suite('a full disk, in one process', () => {
  test('tears a line, which affects no other, and loses none', async () => {
    await using disk = await mountDisk();
    const file = join(disk.path, 'log');
    const log = new Log({ level: 'info', format: 'text', to: [{ file }] });
    const numbers = Array.from({ length: 300 }, (_, i) => String(i + 100));
    for (const i of numbers) log.info('reloaded', { x: 'x'.repeat(100), i });
    await untilFault(log, 'ENOSPC');
    await disk.grow();
    await untilFault(log, undefined);
    await log.close();
    const lines = await linesOf(file);
    const torn = lines.findIndex((line) => line.length < 136);
    assert.ok(lines[torn + 1]!.startsWith(lines[torn]!), 'the torn line comes again, whole');
    const whole = lines.toSpliced(torn, 1);
    assert.match(whole.pop()!, /warn log-recovered: the log can be written again code=ENOSPC lost=0$/);
    assert.deepEqual(
      whole.map((line) => line.replace(/.* i=/, '')),
      numbers,
    );
  });

  test('loses lines beyond the limit, and reports the number', async () => {
    await using disk = await mountDisk();
    const file = join(disk.path, 'log');
    const log = new Log({ level: 'info', format: 'json', to: [{ file }] });
    for (let i = 0; i < 50; i++) log.info('reloaded', { x: 'x'.repeat(100_000), i });
    await untilFault(log, 'ENOSPC');
    assert.equal(log.lost, 9);
    await disk.grow();
    await untilFault(log, undefined);
    log.info('started');
    await log.close();
    const [torn, ...whole] = await linesOf(file);
    assert.throws(() => JSON.parse(torn!));
    const events = whole.map((line) => JSON.parse(line) as { event: string; lost?: number });
    assert.equal(events.length, 41 + 2);
    assert.equal(events[41]!.lost, 9);
    assert.equal(events[42]!.event, 'started');
  });
});

const READY = /listening on 127\.0\.0\.1:(\d+)\n.*readyz on (\S+)\n/;

async function writeConfig(directory: string, logFile: string): Promise<string> {
  const config = join(directory, 'garter.yaml');
  await writeFile(
    config,
    `listen: [{ address: 127.0.0.1:0 }]
rules: [{ name: all, allow: any, to: [loopback] }]
health: 127.0.0.1:0
log: { to: { file: ${logFile} } }
`,
  );
  return config;
}

suite('garter with its log on a disk', () => {
  test('that fills up: connections continue, none of their records is lost, and no restart is needed', async () => {
    await using echo = await startEcho();
    await using directory = await makeDirectory();
    await using disk = await mountDisk();
    const file = join(disk.path, 'garter.log');
    const config = await writeConfig(directory.path, file);
    await using garter = await start([garterCommand, 'serve', '--config', config], { ready: READY });
    const proxy = { host: '127.0.0.1', port: Number(garter.ready[1]) };
    const readiness = async (): Promise<string> => (await fetch(`http://${garter.ready[2]}/readyz`)).text();

    using open = await connectThrough(proxy, echo);
    let connections = 1;
    const connectOnce = async (): Promise<void> => {
      using client = await connectThrough(proxy, echo);
      client.send(Buffer.from('hello'));
      await client.expect(Buffer.from('hello'));
      client.end();
      await client.rest();
      connections++;
    };
    await until(
      async () => {
        await connectOnce();
        return (await readiness()).includes('ENOSPC') || undefined;
      },
      () => 'the disk does not fill up',
    );
    assert.match(await readiness(), /^ready\nthe log cannot be written: ENOSPC; 0 lines lost\n$/);
    for (let i = 0; i < 20; i++) await connectOnce();
    open.send(Buffer.from('still there'));
    await open.expect(Buffer.from('still there'));
    open.end();
    await open.rest();

    await disk.grow();
    await until(
      async () => (await readiness()) === 'ready\n',
      () => 'the log is not written again',
    );
    garter.signal('SIGTERM');
    assert.equal(await garter.ended(), 0);
    const lines = await linesOf(file);
    assert.equal(lines.filter((line) => / disconnect .* end=\w+:relay$/.test(line)).length, connections);
    assert.equal(lines.filter((line) => line.includes('again code=ENOSPC lost=0')).length, 1);
    assert.match(
      garter.stderr(),
      /^\S+ error log-failed: the log cannot be written; connections continue to=\S+garter\.log code=ENOSPC\n$/,
    );
  });

  test('that stays full: the shutdown takes no longer than usual', async () => {
    await using echo = await startEcho();
    await using directory = await makeDirectory();
    const config = await writeConfig(directory.path, '/dev/full');
    await using garter = await start([garterCommand, 'serve', '--config', config], { ready: READY });
    using client = await connectThrough({ host: '127.0.0.1', port: Number(garter.ready[1]) }, echo);
    client.end();
    await client.rest();
    const began = performance.now();
    const waited = delay(2000).then(() => performance.now() - began);
    garter.signal('SIGTERM');
    assert.equal(await garter.ended(), 0);
    const took = performance.now() - began;
    assert.ok(took < 2.5 * (await waited), `${took} ms, where two seconds take ${await waited}`);
  });

  test('that becomes read-only: a reload fails and changes nothing, until the log is writable again', async () => {
    await using directory = await makeDirectory();
    await using disk = await mountDisk();
    const file = join(disk.path, 'garter.log');
    const config = await writeConfig(directory.path, file);
    await using garter = await start([garterCommand, 'serve', '--config', config], { ready: READY });
    const untilLogged = (pattern: RegExp): Promise<true> =>
      until(
        async () => pattern.test(await readFile(file, 'utf8')),
        () => `${pattern} is not logged`,
      );
    // The disk itself cannot be made read-only while its log is open.
    await check(['mount', '--bind', disk.path, disk.path]);
    try {
      await check(['mount', '-o', 'remount,bind,ro', disk.path]);
      garter.signal('SIGHUP');
      await untilLogged(/ error not-reloaded: .* report=.*EROFS/);
    } finally {
      await check(['umount', disk.path]);
    }
    garter.signal('SIGHUP');
    await untilLogged(/ info reloaded /);
  });
});
