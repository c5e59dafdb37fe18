import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSpareMemory, Spare } from './spare.ts';

const taken = (share: { take(): boolean }): number => {
  let count = 0;
  while (share.take()) count++;
  return count;
};

test('a single client cannot use up all descriptors for attempts, nor all clients together those for name resolution', () => {
  const memory = createSpareMemory();
  const spare = new Spare(64, memory);
  assert.equal(taken(spare.shareOf('a')), 8);
  assert.equal(taken(spare.shareOf('a')), 0, 'another connection of the same client');
  assert.equal(taken(spare.shareOf('b')), 8);
  for (const client of ['c', 'd', 'e']) taken(spare.shareOf(client));
  assert.equal(taken(new Spare(64, memory)), 32, 'a half is left, for every thread');
});

test('a client can take descriptors again after returning them', () => {
  const spare = new Spare(64);
  const share = spare.shareOf('a');
  for (let i = 0; i < 3; i++) {
    const count = taken(share);
    assert.equal(count, 8);
    for (let j = 0; j < count; j++) share.give();
  }
  assert.equal(taken(spare), 64);
});
