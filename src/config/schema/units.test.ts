import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBandwidth, parseQuota, parseRate, parseSize, parseTime } from './units.ts';

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

test('an invalid time is reported with a remedy', () => {
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

test('sizes, bandwidths and quotas are bytes', () => {
  const rows = [
    [parseSize, '1B', 1],
    [parseSize, '10kB', 10_000],
    [parseSize, '10MB', 10_000_000],
    [parseSize, '1.5GB', 1_500_000_000],
    [parseSize, '512MiB', 536_870_912],
    [parseBandwidth, '10MB/s', 10_000_000],
    [parseBandwidth, '0.5MiB/s', 524_288],
    [parseQuota, '10GB/day', 10_000_000_000],
  ] as const;
  for (const [parse, text, bytes] of rows) assert.equal(parse(text), bytes, text);
});

test('rates are a number and a time', () => {
  assert.deepEqual(parseRate('50/s'), { most: 50, per: 1000 });
  assert.deepEqual(parseRate('100/m'), { most: 100, per: 60_000 });
});

test('other invalid values are reported with a remedy', () => {
  const rows = [
    [parseSize, ['10', 10, '10 MB', '10mb', '-1MB', '0MB', '1e3MB', '10Mb', null]],
    [parseBandwidth, ['10MB', '10MB/m', '10Mbit/s', 5, '0B/s']],
    [parseQuota, ['10GB', '10GB/week', '10GB/s', '0.1B/day']],
    [parseRate, ['50', 50, '0/s', '1.5/s', '50/day', '/s', {}]],
  ] as const;
  for (const [parse, inputs] of rows) {
    for (const wrong of inputs) {
      assert.throws(() => parse(wrong), { name: 'ValueError', remedy: /^write / }, JSON.stringify(wrong));
    }
  }
});
