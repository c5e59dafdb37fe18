import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import { Spare } from './spare.ts';
import { FairQueue } from './fair-queue.ts';

const here = (): readonly string[] => ['here'];

test('runs so many at a time, lets so many wait, and refuses the rest at once', async () => {
  const turns = new FairQueue({ running: 2, waiting: 3 });
  const tasks = Array.from({ length: 6 }, () => Promise.withResolvers<number>());
  const started: number[] = [];
  const results = tasks.map((task, index) =>
    turns.run(here, () => {
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
  assert.equal(await turns.run(here, () => Promise.resolve('free again')), 'free again');
});

test('a failed task passes on its turn', async () => {
  const turns = new FairQueue({ running: 1, waiting: 1 });
  const failing = turns.run(here, () => Promise.reject(new Error('broken')));
  const next = turns.run(here, () => Promise.resolve('next'));
  await assert.rejects(failing, /broken/);
  assert.equal(await next, 'next');
});

test('sources take turns, and the one with the most waiting gives way', async () => {
  // The older of two equally large groups stays.
  let drawn = 0;
  const turns = new FairQueue({ running: 1, waiting: 4, random: () => ++drawn / 10 });
  const held = Promise.withResolvers<void>();
  const order: string[] = [];
  const run = async (source: string, name: string): Promise<string | undefined> =>
    turns.run(
      () => [source],
      async () => {
        await held.promise;
        order.push(name);
        return name;
      },
    );
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

/** A queue of 64 slots with one task at a time; time advances in turns. */
function lineOf(random: () => number) {
  const turns = new FairQueue({ running: 1, waiting: 64, random });
  const due: (() => void)[] = [];
  const ask = (...groups: readonly string[]): Promise<true | undefined> =>
    turns.run(
      () => groups,
      () => new Promise((resolve) => due.push(() => resolve(true))),
    );
  const pass = async (): Promise<void> => {
    due.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { ask, pass };
}

/** A fixed pseudo-random sequence (Park and Miller). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

const FLOODS = [
  {
    what: '200 addresses, each from a network of its own',
    groups: (i: number) => [`${i}/16`, `${i}/24`, `${i}`],
    least: 0.6,
  },
  {
    what: 'new addresses of one /48 all the time',
    groups: (i: number, n: number) => ['site', `${i}/56`, `${n}`],
    least: 1,
  },
] as const;

for (const { what, groups, least } of FLOODS) {
  test(`new clients have a fair chance, and known ones always get in, while the queue is full of ${what}`, async (t: TestContext) => {
    const { ask, pass } = lineOf(numbers(42));
    let asked = 0;
    // Each asks again immediately, whatever the outcome, up to 50 times a turn.
    const attack = async (i: number): Promise<void> => {
      for (let n = 0; n < 250; n++) {
        const served = await ask('stranger', ...groups(i, ++asked));
        if (served !== true && n % 50 === 49) await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const attackers = Array.from({ length: 200 }, (_, i) => attack(i));
    const owners: { known: boolean; served: Promise<true | undefined> }[] = [];
    for (let i = 0; i < 25; i++) {
      for (let turn = 0; turn < 6; turn++) await pass();
      for (const known of [true, false]) {
        const network = [`owner ${known} ${i}/16`, `owner ${known} ${i}/24`, `owner ${known} ${i}`];
        owners.push({ known, served: ask(known ? 'known' : 'stranger', ...network) });
      }
    }
    const end = new AbortController();
    const all = Promise.all([...attackers, ...owners.map(({ served }) => served)]);
    void all.then(() => end.abort());
    while (!end.signal.aborted) await pass();
    const share = async (known: boolean): Promise<number> => {
      const outcomes = await Promise.all(
        owners.filter((owner) => owner.known === known).map(({ served }) => served),
      );
      return outcomes.filter((served) => served === true).length / outcomes.length;
    };
    t.diagnostic(`${await share(false)} of the strangers`);
    assert.equal(await share(true), 1);
    assert.ok((await share(false)) >= least, `${await share(false)} of the strangers`);
  });
}

test('beyond `least`, tasks need spare descriptors, and continue when some are free', async () => {
  const spare = new Spare(5);
  const held = Array.from({ length: 8 }, () => Promise.withResolvers<void>());
  const turns = new FairQueue({ running: 6, waiting: 10, spare, each: 2, least: 1 });
  assert.ok(spare.take(3), 'somebody else has some');
  let started = 0;
  const tasks = held.map(({ promise }) =>
    turns.run(here, async () => {
      started++;
      await promise;
    }),
  );
  assert.equal(started, 2);
  held[0]!.resolve();
  await immediate();
  assert.equal(started, 3, 'a turn is handed on with its descriptors');
  spare.give(3);
  held[1]!.resolve();
  await immediate();
  assert.equal(started, 5, 'and there are more at a time');
  for (const { resolve } of held) resolve();
  await Promise.all(tasks);
  assert.ok(spare.take(5), 'all are given back');
});
