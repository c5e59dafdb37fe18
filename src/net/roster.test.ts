import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Roster } from './roster.ts';
import type { RosterMember } from './roster.ts';

test('an item that was added and not deleted is there once', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 9 }))), (steps) => {
      const members: RosterMember[] = Array.from({ length: 10 }, () => ({ index: -1 }));
      const roster = new Roster<RosterMember>();
      const expected = new Set<RosterMember>();
      for (const [comes, which] of steps) {
        const member = members[which]!;
        if (!comes) {
          roster.delete(member);
          expected.delete(member);
        } else if (!expected.has(member)) {
          roster.add(member);
          expected.add(member);
        }
        const there = [...roster];
        assert.equal(roster.size, expected.size);
        assert.equal(there.length, expected.size);
        assert.deepEqual(new Set(there), expected);
      }
    }),
  );
});

test('items deleted during iteration are still visited, added ones are not', () => {
  const roster = new Roster<RosterMember>();
  const members: RosterMember[] = Array.from({ length: 4 }, () => ({ index: -1 }));
  for (const member of members) roster.add(member);
  let visited = 0;
  for (const member of roster) {
    visited++;
    roster.delete(member);
    roster.add({ index: -1 });
  }
  assert.equal(visited, 4);
  assert.equal(roster.size, 4);
});
