import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTime } from './units.ts';

test('times are milliseconds', () => {
  const rows = [
    ['1ms', 1],
    ['500ms', 500],
    ['30s', 30_000],
    ['15m', 900_000],
    ['8h', 28_800_000],
    ['24d', 2_073_600_000],
  ] as const;
  for (const [text, ms] of rows) assert.equal(parseTime(text), ms, text);
});

test('what is not a time says what to write', () => {
  for (const wrong of [
    30,
    '30',
    's',
    '1.5h',
    '1h30m',
    '-1s',
    '1 s',
    '1S',
    '0s',
    '25d',
    '99999999999s',
    null,
    undefined,
    {},
  ]) {
    assert.throws(() => parseTime(wrong), { name: 'ValueError', remedy: /^write / }, JSON.stringify(wrong));
  }
});
