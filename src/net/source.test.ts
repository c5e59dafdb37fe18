import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceFor } from './source.ts';

test('loopback is reached from itself', () => {
  assert.equal(sourceFor('127.0.0.1'), '127.0.0.1');
  assert.equal(sourceFor('127.0.0.9'), '127.0.0.1');
  assert.equal(sourceFor('::1'), '::1');
});

test('an unreachable address has no source', () => {
  assert.equal(sourceFor('255.255.255.255'), undefined, 'broadcast needs a permission');
  assert.equal(sourceFor('fe80::1'), undefined, 'link-local without a zone');
});
