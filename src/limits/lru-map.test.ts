import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LruMap } from './lru-map.ts';

test('keeps the most recently used entries', () => {
  const recent = new LruMap<number>(2);
  recent.set('a', 1);
  recent.set('b', 2);
  assert.equal(recent.get('a'), 1);
  recent.set('c', 3);
  assert.equal(recent.get('b'), undefined);
  assert.equal(recent.get('a'), 1);
  recent.set('c', 4);
  assert.equal(recent.get('a'), 1);
  assert.equal(recent.get('c'), 4);
  recent.delete('a');
  assert.equal(recent.get('a'), undefined);
  recent.clear();
  assert.equal(recent.get('c'), undefined);
});
