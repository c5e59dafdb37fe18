import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { Log } from './log.ts';
import type { LogSettings } from './log.ts';

suite('the log', () => {
  const folder = mkdtempSync(join(tmpdir(), 'garter-log-'));
  after(() => rmSync(folder, { recursive: true }));
  const to = (name: string): LogSettings => ({
    level: 'info',
    format: 'text',
    to: { file: join(folder, name) },
  });
  const linesOf = (name: string): string[] =>
    readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1);

  test('writes every line, in order', async () => {
    const log = new Log(to('order'));
    for (let i = 0; i < 5000; i++) log.info('line', { i });
    await log.flush();
    assert.deepEqual(
      linesOf('order').map((line) => line.replace(/.*i=/, '')),
      Array.from({ length: 5000 }, (_, i) => String(i)),
    );
  });

  test('leaves out what is below its level', async () => {
    const log = new Log({ ...to('level'), level: 'warn' });
    log.debug('a');
    log.info('b');
    log.warn('c');
    log.error('d');
    await log.flush();
    assert.deepEqual(
      linesOf('level').map((line) => line.replace(/^\S+ /, '')),
      ['warn c', 'error d'],
    );
  });

  test('goes on in a new file after a rotation, and loses nothing', async () => {
    const log = new Log(to('rotate'));
    log.info('before');
    renameSync(join(folder, 'rotate'), join(folder, 'rotate.1'));
    log.reopen(to('rotate'));
    log.info('after');
    await log.flush();
    assert.deepEqual(
      [...linesOf('rotate.1'), ...linesOf('rotate')].map((line) => line.split(' ')[2]),
      ['before', 'after'],
    );
  });

  test('keeps its file when the new one cannot be opened', async () => {
    const log = new Log(to('stays'));
    assert.throws(() => log.reopen(to('missing/log')), { code: 'ENOENT' });
    assert.throws(() => log.reopen({ ...to('x'), to: { file: folder } }), { code: 'EISDIR' });
    log.info('here');
    await log.flush();
    assert.equal(linesOf('stays').length, 1);
  });

  test('a full disk stops nobody; the lost lines are counted and told when it has room again', async () => {
    symlinkSync('/dev/full', join(folder, 'full'));
    const log = new Log(to('full'));
    for (let i = 0; i < 10; i++) log.info('lost');
    await log.flush();
    log.reopen(to('room'));
    log.info('kept');
    await log.flush();
    const lines = linesOf('room');
    assert.equal(lines.length, 2);
    assert.match(lines[1]!, /were lost.* lost=10$/);
  });

  test('what waits is bounded', async () => {
    const log = new Log(to('bound'));
    for (let i = 0; i < 100; i++) log.info('x'.repeat(100_000));
    await log.flush();
    const lines = linesOf('bound');
    assert.ok(lines.length < 45, `${lines.length} lines`);
    assert.match(lines.at(-1)!, /lost=\d+$/);
  });
});
