import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from './turns.ts';

test('runs so many at a time, lets so many wait, and refuses the rest at once', async () => {
  const turns = new Turns({ running: 2, waiting: 3 });
  const tasks = Array.from({ length: 6 }, () => Promise.withResolvers<number>());
  const started: number[] = [];
  const results = tasks.map((task, index) =>
    turns.run('here', () => {
      started.push(index);
      return task.promise;
    }),
  );
  assert.equal(await results[5], undefined);
  assert.deepEqual(started, [0, 1]);

  for (const [index, task] of tasks.slice(0, 5).entries()) {
    task.resolve(index);
    assert.equal(await results[index], index);
  }
  assert.deepEqual(started, [0, 1, 2, 3, 4]);
  assert.equal(await turns.run('here', () => Promise.resolve('free again')), 'free again');
});

test('a task that fails gives its turn on', async () => {
  const turns = new Turns({ running: 1, waiting: 1 });
  const failing = turns.run('here', () => Promise.reject(new Error('broken')));
  const next = turns.run('here', () => Promise.resolve('next'));
  await assert.rejects(failing, /broken/);
  assert.equal(await next, 'next');
});

test('sources take turns, and the one that has most waiting gives way', async () => {
  const turns = new Turns({ running: 1, waiting: 4 });
  const held = Promise.withResolvers<void>();
  const order: string[] = [];
  const run = async (source: string, name: string): Promise<string | undefined> =>
    turns.run(source, async () => {
      await held.promise;
      order.push(name);
      return name;
    });
  const results = [
    run('flood', 'first'),
    run('flood', 'f1'),
    run('flood', 'f2'),
    run('flood', 'f3'),
    run('flood', 'f4'),
    run('other', 'o1'),
    run('third', 't1'),
    run('flood', 'f5'),
    run('other', 'o2'),
  ];
  held.resolve();
  assert.deepEqual(await Promise.all(results), [
    'first',
    'f1',
    'f2',
    undefined,
    undefined,
    'o1',
    't1',
    undefined,
    undefined,
  ]);
  assert.deepEqual(order, ['first', 'f1', 'o1', 't1', 'f2']);
});
