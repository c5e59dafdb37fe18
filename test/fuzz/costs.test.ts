import assert from 'node:assert/strict';
import { test } from 'node:test';
import { costs, millisecondsOf } from './costs.ts';

/** A busy machine can spoil one comparison, but not all. */
const TRIES = 5;

for (const { name, most, prepare } of costs) {
  test(`${name}: twice as much costs no more than three times as much`, () => {
    const half = prepare(most / 2);
    const whole = prepare(most);
    const ratios: number[] = [];
    // Times below half a millisecond do not matter.
    do ratios.push(millisecondsOf(whole) / Math.max(millisecondsOf(half), 0.5));
    while (ratios.at(-1)! >= 3 && ratios.length < TRIES);
    assert.ok(ratios.at(-1)! < 3, ratios.join(' '));
  });
}
