import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from './suggestion.ts';

test('the word that was probably meant', () => {
  const words = ['allow', 'deny', 'from', 'to', 'port', 'half-close'];
  const rows = [
    ['alow', 'allow'],
    ['allwo', 'allow'],
    ['Allow', 'allow'],
    ['ports', 'port'],
    ['form', 'from'],
    ['halfclose', 'half-close'],
    ['too', 'to'],
    ['x', undefined],
    ['rules', undefined],
    ['', undefined],
  ] as const;
  for (const [written, meant] of rows) assert.equal(nearest(written, words), meant, written);
});
