import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { candidates } from './group.ts';
import { Health } from './health.ts';
import type { Choice, GroupOptions, ServerOptions } from './options.ts';

const server = (label: string): ServerOptions => ({
  type: 'server',
  label,
  protocol: 'socks5',
  passesNames: true,
  at: { host: label, port: 1080 },
});

const group = (choose: Choice, weights: Readonly<Record<string, number>>): GroupOptions => ({
  type: 'group',
  label: 'g',
  members: Object.entries(weights).map(([label, weight]) => ({ upstream: server(label), weight })),
  choose,
  health: { fail: 2 },
  tries: 3,
});

const order = (of: GroupOptions, health: Health, client = '10.0.0.1'): string =>
  candidates(of, client, health)
    .map(({ label }) => label)
    .join('');

/** How often each member came first. */
function firsts(times: number, one: (i: number) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < times; i++) {
    const first = one(i)[0]!;
    counts[first] = (counts[first] ?? 0) + 1;
  }
  return counts;
}

suite('a group', () => {
  test('order: as written', () => {
    assert.equal(order(group('order', { a: 1, b: 9, c: 1 }), new Health()), 'abc');
  });

  test('random: in proportion to the weights', () => {
    const of = group('random', { a: 1, b: 3 });
    const { a = 0, b = 0 } = firsts(4000, () => order(of, new Health()));
    assert.equal(a + b, 4000);
    assert.ok(a > 850 && a < 1150, `${a} of 4000`);
  });

  test('round-robin: in turn, also among threads', () => {
    const of = group('round-robin', { a: 1, b: 2, c: 1 });
    const memory = new SharedArrayBuffer(1 << 20);
    const threads = [new Health(memory), new Health(memory)];
    const seen = Array.from({ length: 8 }, (_, i) => order(of, threads[i % 2]!));
    assert.deepEqual(seen, ['abc', 'bca', 'bca', 'cab', 'abc', 'bca', 'bca', 'cab']);
  });

  test('least-sessions: by weight', () => {
    const of = group('least-sessions', { a: 1, b: 2 });
    const health = new Health();
    const leave = [health.enter('a'), health.enter('b')];
    assert.equal(order(of, health), 'ba');
    leave.push(health.enter('b'), health.enter('b'));
    assert.equal(order(of, health), 'ab');
    for (const one of leave) {
      one();
      one();
    }
    assert.deepEqual([health.sessions('a'), health.sessions('b')], [0, 0]);
  });

  test('source-hash: a client keeps its member when another one is removed', () => {
    const clients = Array.from({ length: 900 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
    const three = group('source-hash', { a: 1, b: 1, c: 1 });
    const two = group('source-hash', { a: 1, b: 1 });
    const health = new Health();
    const counts = firsts(900, (i) => order(three, health, clients[i]));
    for (const label of ['a', 'b', 'c']) assert.ok(counts[label]! > 230, `${label}: ${counts[label]} of 900`);
    for (const client of clients) {
      const before = order(three, health, client);
      assert.equal(order(two, health, client), before.replace('c', ''));
    }
  });

  test('a failed member is tried last until it has recovered', () => {
    const of = group('order', { a: 1, b: 1, c: 1 });
    const health = new Health();
    health.failed('a', of.health, 'test');
    assert.equal(order(of, health), 'abc', 'once is not enough');
    health.failed('a', of.health, 'test');
    assert.equal(order(of, health), 'bca');
    health.succeeded('a', of.health);
    assert.equal(order(of, health), 'abc');
    for (const label of ['a', 'b', 'c', 'a', 'b', 'c']) health.failed(label, of.health, 'test');
    assert.equal(order(of, health), 'abc', 'all of them');
  });

  test('a lower priority comes later, until all of the higher one have failed', () => {
    const { members, ...rest } = group('round-robin', { a: 1, b: 1, c: 1, d: 1 });
    const of = { ...rest, members: members.map((one, i) => ({ ...one, priority: i < 2 ? 20 : 10 })) };
    const health = new Health();
    const turns = Array.from({ length: 4 }, () => order(of, health));
    assert.deepEqual(turns, ['cdab', 'dcba', 'cdab', 'dcba']);
    for (const label of ['c', 'd', 'c', 'd']) health.failed(label, of.health, 'test');
    assert.equal(order(of, health), 'abcd');
  });
});
