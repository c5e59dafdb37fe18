import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSpareMemory, Spare } from './spare.ts';

const taken = (share: { take(): boolean }): number => {
  let count = 0;
  while (share.take()) count++;
  return count;
};

test('no client has all that is for attempts to connect, nor do all of them have what is for names', () => {
  const memory = createSpareMemory();
  const spare = new Spare(64, memory);
  assert.equal(taken(spare.shareOf('a')), 8);
  assert.equal(taken(spare.shareOf('a')), 0, 'another connection of the same client');
  assert.equal(taken(spare.shareOf('b')), 8);
  for (const client of ['c', 'd', 'e']) taken(spare.shareOf(client));
  assert.equal(taken(new Spare(64, memory)), 32, 'a half is left, for every thread');
});

test('what a client gives back it may take again', () => {
  const spare = new Spare(64);
  const share = spare.shareOf('a');
  for (let i = 0; i < 3; i++) {
    const count = taken(share);
    assert.equal(count, 8);
    for (let j = 0; j < count; j++) share.give();
  }
  assert.equal(taken(spare), 64);
});
