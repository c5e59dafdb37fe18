import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Queue } from './queue.ts';

test('property: the first always has the lowest rank', () => {
  const step = fc.oneof(fc.record({ rank: fc.nat(20) }), fc.record({ leaves: fc.nat(40) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const queue = new Queue<{ readonly rank: number; index: number }>();
      const waiting: { readonly rank: number; index: number }[] = [];
      for (const next of steps) {
        if ('rank' in next) {
          const one = { rank: next.rank, index: -1 };
          queue.add(one);
          waiting.push(one);
        } else {
          for (const one of waiting.splice(next.leaves, 1)) {
            queue.delete(one);
            queue.delete(one);
            assert.equal(one.index, -1);
          }
        }
        assert.equal(queue.size, waiting.length);
        assert.equal(
          queue.first?.rank,
          waiting.length === 0 ? undefined : Math.min(...waiting.map(({ rank }) => rank)),
        );
      }
    }),
  );
});
