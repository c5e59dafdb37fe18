import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cache, type Fresh } from './cache.ts';

test('an entry lives as long as its time to live', () => {
  let now = 1000;
  const cache = new Cache<string>(10, () => now);
  cache.set('a', { value: 'A', ttl: 500 });
  now = 1499;
  assert.equal(cache.get('a'), 'A');
  now = 1500;
  assert.equal(cache.get('a'), undefined);
  assert.equal(cache.size, 0);
});

test('a value with a time to live of 0 is not cached, and replaces an earlier one', () => {
  const cache = new Cache<string>(10, () => 0);
  cache.set('a', { value: 'old', ttl: 500 });
  cache.set('a', { value: 'new', ttl: 0 });
  assert.equal(cache.get('a'), undefined);
  assert.equal(cache.size, 0);
});

test('the least recently used entry is evicted first', () => {
  const cache = new Cache<number>(2, () => 0);
  cache.set('a', { value: 1, ttl: 500 });
  cache.set('b', { value: 2, ttl: 500 });
  cache.get('a');
  cache.set('c', { value: 3, ttl: 500 });
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => cache.get(key)),
    [1, undefined, 3],
  );
});

test('concurrent loads of one key are shared', async () => {
  const cache = new Cache<string>(10, () => 0);
  const started: ((fresh: Fresh<string>) => void)[] = [];
  const load = (): Promise<Fresh<string>> => new Promise((resolve) => started.push(resolve));
  const all = [cache.load('a', load), cache.load('a', load), cache.load('b', load)];
  assert.equal(started.length, 2);
  started[0]!({ value: 'A', ttl: 0 });
  started[1]!({ value: 'B', ttl: 500 });
  assert.deepEqual(await Promise.all(all), ['A', 'A', 'B']);

  assert.equal(await cache.load('b', load), 'B');
  assert.equal(started.length, 2, 'b was kept');
  const again = cache.load('a', load);
  assert.equal(started.length, 3, 'a was not');
  started[2]!({ value: 'A2', ttl: 0 });
  assert.equal(await again, 'A2');
});

test('a failed load rejects for all waiting callers, and is not cached', async () => {
  const cache = new Cache<string>(10, () => 0);
  const both = [1, 2].map(() => cache.load('a', () => Promise.reject(new Error('no'))));
  for (const one of both) await assert.rejects(one, { message: 'no' });
  assert.equal(await cache.load('a', async () => ({ value: 'A', ttl: 1 })), 'A');
});

test('clearing stops loads in progress from being cached or shared with new callers', async () => {
  const cache = new Cache<string>(10, () => 0);
  const old = Promise.withResolvers<Fresh<string>>();
  const young = Promise.withResolvers<Fresh<string>>();
  const first = [1, 2].map(() => cache.load('a', () => old.promise));
  cache.clear();
  const second = cache.load('a', () => young.promise);
  old.resolve({ value: 'old', ttl: 500 });
  assert.deepEqual(await Promise.all(first), ['old', 'old']);
  assert.equal(cache.get('a'), undefined);
  const third = cache.load('a', () => assert.fail('not shared'));
  young.resolve({ value: 'young', ttl: 500 });
  assert.deepEqual(await Promise.all([second, third]), ['young', 'young']);
  assert.equal(cache.get('a'), 'young');
});

test('a forced load is separate from the previous one, and the latest is cached', async () => {
  const cache = new Cache<string>(10, () => 0);
  const slow = Promise.withResolvers<Fresh<string>>();
  const first = cache.load('a', () => slow.promise);
  assert.equal(await cache.loadAnew('a', async () => ({ value: 'new', ttl: 500 })), 'new');
  slow.resolve({ value: 'old', ttl: 500 });
  assert.equal(await first, 'old');
  assert.equal(cache.get('a'), 'new');
});
