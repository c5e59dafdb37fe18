import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Line } from './line.ts';

test('so many at once, so many in line, the next one is turned away', async () => {
  const line = new Line(2, 1);
  const log: string[] = [];
  const leave: (() => void)[] = [];
  const work = (name: string) => async (): Promise<string> => {
    log.push(`+${name}`);
    await new Promise<void>((resolve) => leave.push(resolve));
    log.push(`-${name}`);
    return name;
  };
  const a = line.through(work('a'));
  const b = line.through(work('b'));
  const c = line.through(work('c'));
  await assert.rejects(line.through(work('d')), { code: 'EBUSY' });
  assert.deepEqual(log, ['+a', '+b']);

  leave.shift()!();
  assert.equal(await a, 'a');
  const e = line.through(work('e'));
  while (leave.length < 2) await Promise.resolve();
  assert.deepEqual(log, ['+a', '+b', '-a', '+c']);

  for (const name of ['-b', '-c', '-e']) {
    while (leave.length === 0) await Promise.resolve();
    leave.shift()!();
    while (!log.includes(name)) await Promise.resolve();
  }
  assert.deepEqual(await Promise.all([b, c, e]), ['b', 'c', 'e']);
});

test('failed work makes room too', async () => {
  const line = new Line(1, 0);
  for (const _ of [1, 2]) {
    await assert.rejects(
      line.through(() => Promise.reject(new Error('no'))),
      { message: 'no' },
    );
  }
  assert.equal(await line.through(async () => 'yes'), 'yes');
});
