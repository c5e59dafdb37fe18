import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '../wire/ip.ts';
import { groupsOf } from './claims.ts';
import { Crowd } from './crowd.ts';

/** Members are strings: their origin, and which one of that origin. */
function crowdOf(...members: readonly string[]) {
  const crowd = new Crowd<string>();
  const places = new Map(members.map((member) => [member, crowd.join(groupsIn(member), member)]));
  return { crowd, places };
}

function groupsIn(member: string): readonly string[] {
  const [address = '', user] = member.split(' ')[0]!.split('@').toReversed();
  return groupsOf(parseIp(address)!, user);
}

const NETWORKS = [
  ['192.0.2.1', '192.0.2.2', 2],
  ['192.0.2.1', '192.0.3.1', 1],
  ['192.0.2.1', '192.1.2.1', 0],
  ['192.0.2.1', '::ffff:192.0.2.1', 3],
  ['2001:db8:1:101::1', '2001:db8:1:101:ffff::', 3],
  ['2001:db8:1:101::1', '2001:db8:1:1ff::1', 2],
  ['2001:db8:1:101::1', '2001:db8:1:201::1', 1],
  ['2001:db8:1:101::1', '2001:db8:2:101::1', 0],
  ['::1', '0.0.0.1', 0],
] as const;

for (const [one, other, shared] of NETWORKS) {
  test(`${one} and ${other} have ${shared} of three networks in common`, () => {
    const groups = groupsIn(one);
    const others = groupsIn(other);
    assert.equal(groups.filter((group, i) => group === others[i]).length, shared);
  });
}

test('the member that gives way is in the largest group of the largest group', () => {
  // One /48 with many /64s of one member each, two of them in one /56; a /64 with two members.
  const site = ['2001:db8:1:100::1', '2001:db8:1:200::1', '2001:db8:1:300::1', '2001:db8:1:301::1'];
  const { crowd } = crowdOf('192.0.2.1 a', '192.0.2.1 b', ...site);
  const left = crowd.largest(() => 0);
  assert.match(left.oldest!, /^2001:db8:1:30/);
});

test('rank decides between equally large groups, and receives the whole name', () => {
  const { crowd } = crowdOf('192.0.2.1', '198.51.100.1', '203.0.113.1');
  for (const member of ['192.0.2.1', '198.51.100.1', '203.0.113.1']) {
    const groups = groupsIn(member);
    assert.equal(crowd.largest((name) => (groups.includes(name) ? 1 : 0)).oldest, member);
  }
});

test('groups take turns at each level, and so do their members', () => {
  const { crowd } = crowdOf(
    '10.0.0.1 a',
    '10.0.0.1 b',
    '10.0.0.2 c',
    '10.0.1.1 d',
    '192.0.2.1 e',
    '192.0.2.1 f',
  );
  const passed: string[] = [];
  const order = Array.from({ length: 7 }, () => crowd.next((name) => passed.push(name)));
  assert.deepEqual(
    order.map((member) => member?.at(-1)),
    ['a', 'e', 'd', 'f', 'c', 'b', undefined],
  );
  assert.deepEqual(passed.slice(0, 3), groupsIn('10.0.0.1'));
  assert.equal(crowd.size, 0);
});

test('a user counts once, however many addresses it has; so does each user behind one address', () => {
  const { crowd } = crowdOf(
    'alice@10.0.0.1',
    'alice@10.9.0.1',
    'alice@192.0.2.1',
    'bob@192.0.2.1',
    'carol@192.0.2.1',
  );
  assert.match(crowd.largest(() => 0).oldest!, /^alice/);
  const order = Array.from({ length: 3 }, () => crowd.next(() => {}));
  assert.deepEqual(
    order.map((member) => member!.split('@')[0]!),
    ['alice', 'bob', 'carol'],
  );
});

test('leaving twice has no effect; an empty group is removed', () => {
  const { crowd, places } = crowdOf('192.0.2.1 a', '192.0.2.1 b');
  const group = places.get('192.0.2.1 a')!;
  assert.deepEqual([group.oldest, group.newest], ['192.0.2.1 a', '192.0.2.1 b']);
  group.leave('192.0.2.1 a');
  group.leave('192.0.2.1 a');
  assert.equal(crowd.size, 1);
  group.leave('192.0.2.1 b');
  assert.equal(crowd.size, 0);
  assert.equal(
    crowd.next(() => {}),
    undefined,
  );
  assert.equal(
    crowd.largest(() => 0),
    crowd,
  );
});
