import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withTimeout } from './timeout.ts';

const never = new Promise<never>(() => {});
const late = (): never => {
  throw new Error('late');
};
const LONG = 2 ** 30;

test('work that is done in time', async () => {
  assert.equal(await withTimeout(Promise.resolve(1), LONG, assert.fail), 1);
  await assert.rejects(withTimeout(Promise.reject(new Error('no')), LONG, assert.fail), { message: 'no' });
  // A timer left running would keep the process alive.
});

test('work that is late', async () => {
  assert.equal(await withTimeout(never, 1, () => 2), 2);
  await assert.rejects(withTimeout(never, 1, late), { message: 'late' });
});

test('work that fails after that', async () => {
  const work = Promise.withResolvers<never>();
  assert.equal(await withTimeout(work.promise, 1, () => 3), 3);
  work.reject(new Error('much later'));
  await new Promise((resolve) => setImmediate(resolve));
});
