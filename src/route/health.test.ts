import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createHealthMemory, Health } from './health.ts';

const CHECKED = { fail: 2, check: { every: 1000, recover: 3 } };

suite('health', () => {
  test('down after failures in a row, and up again at once', () => {
    const changes: string[] = [];
    const health = new Health(createHealthMemory(), (...change) => changes.push(change.join(' ')));
    const options = { fail: 2 };
    health.failed('a', options, 'ETIMEDOUT');
    health.succeeded('a', options);
    health.failed('a', options, 'ETIMEDOUT');
    assert.ok(health.isUp('a'), 'not in a row');
    health.failed('a', options, 'ECONNREFUSED');
    health.failed('a', options, 'closed');
    assert.ok(!health.isUp('a'));
    health.succeeded('a', options);
    assert.ok(health.isUp('a'));
    assert.deepEqual(changes, ['a ECONNREFUSED', 'a']);
  });

  test('with checks, up again after enough successes in a row', () => {
    const health = new Health();
    const isUpAfter = (...outcomes: readonly boolean[]): boolean => {
      for (const good of outcomes) {
        if (good) health.succeeded('a', CHECKED);
        else health.failed('a', CHECKED, 'closed');
      }
      return health.isUp('a');
    };
    assert.ok(isUpAfter(true, false));
    assert.ok(!isUpAfter(false));
    assert.ok(!isUpAfter(true, true));
    assert.ok(!isUpAfter(false, true, true));
    assert.ok(isUpAfter(true));
  });

  test('only one of several threads reports a change', () => {
    const memory = createHealthMemory();
    const changes: string[] = [];
    const threads = ['1', '2'].map((thread) => new Health(memory, (label) => changes.push(thread + label)));
    threads[0]!.failed('a', { fail: 2 }, 'closed');
    threads[1]!.failed('a', { fail: 2 }, 'closed');
    threads[0]!.failed('a', { fail: 2 }, 'closed');
    assert.ok(!threads[0]!.isUp('a'));
    threads[0]!.succeeded('a', { fail: 2 });
    assert.deepEqual(changes, ['2a', '1a']);
  });

  test('the sessions of a dead thread are subtracted, and no others', () => {
    const memory = createHealthMemory();
    const [one, other] = [new Health(memory), new Health(memory)];
    const leave = one.enter('a');
    one.enter('a');
    other.enter('a');
    one.forgetAll();
    leave();
    assert.equal(other.sessions('a'), 1);
  });

  test('servers beyond the capacity share a slot', () => {
    const health = new Health();
    for (let i = 0; i < 4200; i++) health.failed(`server ${i}`, { fail: 1 }, 'closed');
    assert.ok(!health.isUp('server 4199'));
  });
});
