import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { PortRange } from './policy.ts';
import { mergePorts, PortSet } from './ports.ts';

const ranges: fc.Arbitrary<PortRange[]> = fc.array(
  fc.tuple(fc.nat(60), fc.nat(60)).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) })),
  { maxLength: 6 },
);

test('property: a set has the ports of its ranges, and covers what it has entirely', () => {
  const property = fc.property(ranges, fc.nat(60), fc.nat(10), (all, first, size) => {
    const set = new PortSet(all);
    const has = (port: number): boolean => all.some((one) => one.first <= port && port <= one.last);
    assert.equal(set.has(first), has(first));
    const asked = Array.from({ length: size + 1 }, (_, i) => first + i);
    assert.equal(set.covers({ first, last: first + size }), asked.every(has));
  });
  fc.assert(property, { numRuns: 300 });
});

test('merged ranges neither overlap nor touch', () => {
  const merged = mergePorts([
    { first: 443, last: 443 },
    { first: 65_535, last: 65_535 },
    { first: 80, last: 90 },
    { first: 85, last: 100 },
    { first: 101, last: 101 },
  ]);
  assert.deepEqual(merged, [
    { first: 80, last: 101 },
    { first: 443, last: 443 },
    { first: 65_535, last: 65_535 },
  ]);
});
