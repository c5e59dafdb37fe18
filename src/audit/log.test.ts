import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE, until } from '../../test/support/process.ts';
import { Log } from './log.ts';
import type { LogSettings } from './log.ts';

const folder = mkdtempSync(join(tmpdir(), 'garter-log-'));
after(() => rmSync(folder, { recursive: true }));

const to = (name: string): LogSettings => ({
  level: 'info',
  format: 'text',
  to: [{ file: join(folder, name) }],
});
const full: LogSettings = { ...to(''), to: [{ file: '/dev/full' }] };

function linesOf(name: string): string[] {
  return readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1);
}

/**
 * Reads a named pipe, and creates it if necessary; `read` reads what is available and returns all lines so
 * far.
 */
function openPipe(name: string): { readonly read: () => string[]; readonly close: () => void } {
  if (!existsSync(join(folder, name))) execFileSync('mkfifo', [join(folder, name)]);
  const fd = openSync(join(folder, name), constants.O_RDONLY | constants.O_NONBLOCK);
  const buffer = Buffer.alloc(65_536);
  let text = '';
  return {
    read() {
      try {
        for (let size = -1; size !== 0;) {
          size = readSync(fd, buffer);
          text += buffer.toString('utf8', 0, size);
        }
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
      }
      return text.split('\n').slice(0, -1);
    },
    close: () => closeSync(fd),
  };
}

suite('the log', () => {
  test('writes every line, in order', async () => {
    const log = new Log(to('order'));
    for (let i = 0; i < 5000; i++) log.info('reloaded', { i });
    await log.close();
    assert.deepEqual(
      linesOf('order').map((line) => line.replace(/.*i=/, '')),
      Array.from({ length: 5000 }, (_, i) => String(i)),
    );
    assert.equal(log.lost, 0);
    assert.equal(log.fault, undefined);
  });

  test('warns about the same thing once a minute where that is requested', async () => {
    const log = new Log(to('seldom'));
    for (let i = 0; i < 600; i++) log.warnSeldom('upstream-down', { i: i % 2 });
    for (let i = 0; i < 300; i++) log.warnSeldom('systemd-failed', { i });
    log.warnSeldom('upstream-down', { i: 1 });
    await log.close();
    const lines = linesOf('seldom').map((line) => line.replace(/^\S+ /, ''));
    assert.deepEqual(lines.slice(0, 2), ['warn upstream-down i=0', 'warn upstream-down i=1']);
    assert.equal(lines.length, 2 + 300 + 1, 'what was forgotten is reported again');
  });

  test('drops lines below its level', async () => {
    const log = new Log({ ...to('level'), level: 'warn' });
    log.debug('datagram-refused');
    log.info('reloaded');
    log.warn('upstream-down');
    log.error('not-reloaded');
    await log.close();
    assert.deepEqual(
      linesOf('level').map((line) => line.replace(/^\S+ /, '')),
      ['warn upstream-down', 'error not-reloaded: the reload failed; nothing has changed'],
    );
  });

  test('takes no line after it is closed', async () => {
    const log = new Log(to('closed'));
    await log.close();
    log.info('reloaded');
    await log.close();
    assert.deepEqual(linesOf('closed'), []);
    assert.equal(log.lost, 1);
  });

  test('starts a new line after one torn by the end of a process', async () => {
    writeFileSync(join(folder, 'torn'), '2026-11-21T10:15:02.007Z info disc');
    for (const event of ['started', 'reloaded'] as const) {
      const log = new Log(to('torn'));
      log.info(event);
      await log.close();
    }
    assert.deepEqual(
      linesOf('torn').map((line) => line.split(' ')[2]),
      ['disc', 'started', 'reloaded'],
    );
  });
});

suite('the log is reopened', () => {
  test('after a rotation, and loses nothing', async () => {
    const log = new Log(to('rotate'));
    for (let i = 0; i < 100; i++) {
      log.info('reloaded', { i });
      if (i % 10 === 9) {
        renameSync(join(folder, 'rotate'), join(folder, `rotate.${i}`));
        log.reopen(to('rotate'));
      }
      if (i % 7 === 0) await delay(1);
    }
    await log.close();
    const files = Array.from({ length: 10 }, (_, i) => `rotate.${i * 10 + 9}`);
    assert.deepEqual(
      [...files, 'rotate'].flatMap(linesOf).map((line) => line.replace(/.*i=/, '')),
      Array.from({ length: 100 }, (_, i) => String(i)),
    );
  });

  test('and stays as it was when that fails', async () => {
    const log = new Log(to('stays'));
    execFileSync('mkfifo', [join(folder, 'unread')]);
    assert.throws(() => log.reopen(to('missing/log')), { code: 'ENOENT' });
    assert.throws(() => log.reopen({ ...to(''), to: [{ file: folder }] }), { code: 'EISDIR' });
    assert.throws(() => log.reopen({ ...to('unread'), level: 'error' }), { code: 'ENXIO' });
    log.info('reloaded');
    await log.close();
    assert.equal(linesOf('stays').length, 1);
  });

  test('while a write to the old destination hangs', async () => {
    const pipe = openPipe('stuck');
    const log = new Log(to('stuck'));
    for (let i = 0; i < 100; i++) log.info('reloaded', { x: 'x'.repeat(10_000) });
    await until(() => pipe.read().length > 0);
    // All but the last are closed without a write.
    for (let i = 0; i < 10; i++) log.reopen(to('moved'));
    log.info('started');
    await until(() => linesOf('moved').length > 0);
    await log.close();
    assert.match(linesOf('moved').join('\n'), /info started/);
    pipe.close();
  });
});

/** How many descriptors of this process refer to the file. */
function timesOpen(name: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === join(folder, name);
    } catch {
      return false; // the descriptor used to read the folder
    }
  }).length;
}

test('reopened after it was closed, the log holds no file, and closes only its own', async () => {
  const log = new Log(to('over'));
  await log.close();
  await until(() => timesOpen('over') === 0);
  // One of them gets the number of the log's descriptor.
  const others = Array.from({ length: 64 }, () => openSync(join(folder, 'over'), 'r'));
  log.reopen(to('over'));
  await until(() => timesOpen('over') === others.length);
  for (const fd of others) closeSync(fd);
});

suite('a log that cannot be written', () => {
  test('reports why, keeps its lines, and continues when there is space', async () => {
    const log = new Log({ ...full, level: 'error' });
    for (let i = 0; i < 10; i++) log.error('users-unknown', { i });
    await until(() => log.fault === 'ENOSPC');
    log.reopen({ ...to('room'), level: 'error' });
    log.error('users-unknown', { i: 10 });
    await until(() => log.fault === undefined);
    await log.close();
    assert.deepEqual(
      linesOf('room').map((line) => line.replace(/^\S+ /, '')),
      [
        ...Array.from(
          { length: 11 },
          (_, i) => `error users-unknown: users could not be asked for, they stay as they were i=${i}`,
        ),
        'warn log-recovered: the log can be written again code=ENOSPC lost=0',
      ],
    );
    assert.equal(log.lost, 0);
  });

  test('does not delay close, and counts the lost lines', async () => {
    const log = new Log(full);
    for (let i = 0; i < 10; i++) log.info('reloaded');
    await log.close();
    assert.equal(log.lost, 10);
    assert.equal(log.fault, 'ENOSPC');
  });

  test('keeps lines up to a limit, and reports the loss', async () => {
    const log = new Log(to('bound'));
    for (let i = 0; i < 100; i++) log.info('reloaded', { x: 'x'.repeat(100_000) });
    assert.equal(log.fault, 'ENOBUFS');
    assert.equal(log.lost, 59);
    await until(() => log.fault === undefined);
    log.info('started');
    await log.close();
    const lines = linesOf('bound');
    assert.equal(lines.length, 41 + 2);
    assert.match(lines[41]!, /again code=ENOBUFS lost=59$/);
    assert.equal(log.lost, 59);
  });

  test('a pipe that is temporarily full loses nothing', async () => {
    const pipe = openPipe('slow');
    const log = new Log(to('slow'));
    for (let i = 0; i < 300; i++) log.info('reloaded', { x: 'x'.repeat(1000), i });
    await delay(100);
    assert.equal(log.fault, undefined);
    await until(() => pipe.read().length === 300);
    assert.deepEqual(
      pipe.read().map((line) => line.replace(/.*i=/, '')),
      Array.from({ length: 300 }, (_, i) => String(i)),
    );
    await log.close();
    pipe.close();
  });

  test('a pipe without a reader is tried again until it has one', async () => {
    const first = openPipe('left');
    const log = new Log(to('left'));
    first.close();
    log.info('reloaded');
    await until(() => log.fault === 'EPIPE');
    const second = openPipe('left');
    await until(() => second.read().length === 2);
    await log.close();
    assert.match(second.read().join('\n'), /info reloaded\n.*code=EPIPE lost=0$/);
    second.close();
  });

  test('a pipe that nothing reads is abandoned, but not immediately', async () => {
    const pipe = openPipe('unheard');
    const log = new Log(to('unheard'));
    for (let i = 0; i < 300; i++) log.info('reloaded', { x: 'x'.repeat(1000) });
    assert.equal(await Promise.race([log.close(), delay(1900, 'not yet')]), 'not yet');
    await log.close();
    assert.ok(log.lost > 0);
    assert.equal(log.fault, 'ETIMEDOUT');
    pipe.close();
  });
});

function several(...names: readonly string[]): LogSettings['to'] {
  return names.map((name) => ({ file: name.startsWith('/') ? name : join(folder, name) }));
}

suite('a log in several places', () => {
  test('has every line in each, and warnings and errors in the error log as well', async () => {
    const log = new Log({ ...to(''), to: several('one', 'other'), errors: several('errors') });
    log.debug('association');
    log.info('started');
    log.warn('upstream-down');
    log.error('users-unknown');
    await log.close();
    const events = (name: string): string[] =>
      linesOf(name).map((line) => line.split(' ')[2]!.replace(':', ''));
    assert.deepEqual(events('one'), ['started', 'upstream-down', 'users-unknown']);
    assert.deepEqual(linesOf('other'), linesOf('one'));
    assert.deepEqual(events('errors'), ['upstream-down', 'users-unknown']);
  });

  test('goes on where there is space, and says there what is wrong', async () => {
    const complaints: string[] = [];
    const complain = (text: string): unknown => complaints.push(text);
    const log = new Log({ ...to(''), to: several('/dev/full', 'space') }, { complain });
    for (let i = 0; i < 100; i++) log.info('reloaded', { i });
    await until(() => log.fault === '/dev/full ENOSPC');
    for (let i = 100; i < 200; i++) log.info('reloaded', { i });
    await log.close();
    const lines = linesOf('space');
    assert.deepEqual(
      lines.filter((line) => line.includes(' reloaded ')).map((line) => line.replace(/.*i=/, '')),
      Array.from({ length: 200 }, (_, i) => String(i)),
    );
    assert.equal(
      lines.filter((line) => / error log-failed: .* to=\/dev\/full code=ENOSPC$/.test(line)).length,
      1,
    );
    assert.equal(complaints.length, 1);
    assert.ok(log.lost >= 200);
  });

  test('changes all of them, or none', async () => {
    const log = new Log({ ...to(''), to: several('first', 'second'), errors: several('grave') });
    const before = several('first', 'second');
    assert.throws(() => log.reopen({ ...to(''), to: several('third', 'missing/log') }), { code: 'ENOENT' });
    log.info('started');
    for (const name of ['first', 'second']) renameSync(join(folder, name), join(folder, `${name}.1`));
    log.reopen({ ...to(''), to: [before[1]!, before[0]!], errors: several('fourth') });
    log.info('reloaded');
    log.reopen({ ...to(''), to: several('first') });
    log.info('ending');
    await log.close();
    const events = (name: string): string =>
      linesOf(name)
        .map((line) => line.split(' ')[2])
        .join();
    assert.match(events('first'), /reloaded,ending:$/);
    assert.match(events('second'), /reloaded$/);
    for (const name of ['first', 'second']) {
      const both = [linesOf(`${name}.1`), linesOf(name)].flat().filter((line) => line.includes('started'));
      assert.equal(both.length, 1, name);
    }
    assert.deepEqual([linesOf('grave'), linesOf('fourth')], [[], []]);
    await until(() => ['first', 'second', 'grave', 'fourth'].every((name) => timesOpen(name) === 0));
    assert.equal(timesOpen('third'), 0);
  });
});

/** Runs a separate process with this log to completion; `listen`: whether its standard error is read. */
async function runProgram(settings: LogSettings, { listen }: { listen: boolean }): Promise<string> {
  const source = `
    import { Log } from ${JSON.stringify(join(import.meta.dirname, 'log.ts'))};
    import { tellOnStderr } from ${JSON.stringify(join(import.meta.dirname, 'sinks/file.ts'))};
    const log = new Log(${JSON.stringify(settings)}, { complain: tellOnStderr });
    for (let i = 0; i < 300; i++) log.info('reloaded', { x: 'x'.repeat(1000) });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await log.close();
    process.exit(7);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  if (listen) child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const [code] = (await once(child, 'exit', { signal: AbortSignal.timeout(PATIENCE) })) as [number];
  assert.equal(code, 7);
  return text;
}

suite('standard error', () => {
  test('receives the lines of a log sent to it', async () => {
    const text = await runProgram({ ...full, to: ['stderr'] }, { listen: true });
    assert.equal(text.match(/^\S+ info reloaded x=x{1000}\n/gm)?.length, 300);
  });

  test('does not delay the end when it is not read', async () => {
    await runProgram({ ...full, to: ['stderr'] }, { listen: false });
  });

  test('gets one report when another destination fails', async () => {
    assert.match(
      await runProgram(full, { listen: true }),
      /^\S+ error log-failed: the log cannot be written; connections continue to=\/dev\/full code=ENOSPC\n$/,
    );
  });
});
