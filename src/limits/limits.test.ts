import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import type { Claim } from './claims.ts';
import { Worker } from 'node:worker_threads';
import * as fc from 'fast-check';
import { parseIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { connectionClaims, ruleClaims } from './claims.ts';
import { createLimitMemory, Limits } from './limits.ts';
import type { Acquired, Lease } from './limits.ts';
import type { LimitOptions, RuleOptions } from '../policy/policy.ts';

/**
 * Steps: `+client user` acquires, with the expected outcome; `-n` releases the n-th lease, counted from 1;
 * `~n` advances the clock by n milliseconds.
 */
const ROWS: readonly {
  readonly name: string;
  readonly limit: LimitOptions | undefined;
  readonly steps: readonly string[];
}[] = [
  {
    name: 'no limit, nothing to count',
    limit: undefined,
    steps: ['+10.0.0.1 alice ok', '+10.0.0.1 alice ok', '-1'],
  },
  {
    name: 'time limits are not counted in this table',
    limit: { duration: 1, idle: 1 },
    steps: ['+10.0.0.1 alice ok', '+10.0.0.1 alice ok'],
  },
  {
    name: 'sessions',
    limit: { sessions: 2 },
    steps: ['+10.0.0.1 alice ok', '+10.0.0.2 bob ok', '+10.0.0.3 eve sessions', '-1', '+10.0.0.3 eve ok'],
  },
  { name: 'a limit of 0', limit: { sessions: 0 }, steps: ['+10.0.0.1 alice sessions'] },
  {
    name: 'a second release does nothing',
    limit: { sessions: 1 },
    steps: ['+10.0.0.1 alice ok', '-1', '-1', '+10.0.0.2 bob ok', '-1', '+10.0.0.3 eve sessions'],
  },
  {
    name: 'sessions per user, from any address',
    limit: { sessionsPerUser: 1 },
    steps: ['+10.0.0.1 alice ok', '+10.0.0.2 alice sessions-per-user', '+10.0.0.1 bob ok'],
  },
  {
    name: 'clients without a user count as one',
    limit: { sessionsPerUser: 1 },
    steps: ['+10.0.0.1 ok', '+10.0.0.2 sessions-per-user', '+10.0.0.1 undefined ok'],
  },
  {
    name: 'sessions per address, of any user',
    limit: { sessionsPerAddress: 1 },
    steps: ['+10.0.0.1 alice ok', '+10.0.0.1 bob sessions-per-address', '+10.0.0.2 alice ok'],
  },
  {
    name: 'IPv6 by the /64, IPv4 however it is written',
    limit: { sessionsPerAddress: 1 },
    steps: [
      '+2001:db8::1 ok',
      '+2001:db8::ffff:2 sessions-per-address',
      '+2001:db8:0:1::1 ok',
      '+::ffff:10.0.0.1 ok',
      '+10.0.0.1 sessions-per-address',
      '+2002:a00:1::1 ok',
      '+2002:a00:1::2 sessions-per-address',
      '+64:ff9b::a00:1 ok',
    ],
  },
  {
    name: 'all or nothing: a refused session counts nowhere',
    limit: { sessions: 2, sessionsPerUser: 2, sessionsPerAddress: 1 },
    steps: [
      '+10.0.0.1 alice ok',
      '+10.0.0.1 alice sessions-per-address',
      '+10.0.0.1 alice sessions-per-address',
      '+10.0.0.2 alice ok',
      '+10.0.0.3 bob sessions',
    ],
  },
  {
    name: 'a rate: all at once, then evenly',
    limit: { rate: { most: 3, per: 3000 } },
    steps: [
      '+10.0.0.1 alice ok',
      '+10.0.0.2 bob ok',
      '+10.0.0.1 alice ok',
      '+10.0.0.1 alice rate',
      '~999',
      '+10.0.0.1 alice rate',
      '~1',
      '+10.0.0.1 alice ok',
      '+10.0.0.1 alice rate',
      '~2500',
      '+10.0.0.1 alice ok',
      '+10.0.0.1 alice ok',
      '+10.0.0.1 alice rate',
      '~100000',
      '+10.0.0.1 alice ok',
      '+10.0.0.1 alice ok',
      '+10.0.0.1 alice ok',
      '+10.0.0.1 alice rate',
    ],
  },
  {
    name: 'a rate per address: a release restores nothing, a refusal uses up nothing',
    limit: { rate: { most: 3, per: 1000 }, ratePerAddress: { most: 1, per: 1000 } },
    steps: [
      '+10.0.0.1 alice ok',
      '-1',
      '+10.0.0.1 alice rate-per-address',
      '+10.0.0.1 alice rate-per-address',
      '+10.0.0.2 alice ok',
      '+10.0.0.3 alice ok',
      '+10.0.0.4 alice rate',
      '~334',
      '+10.0.0.4 alice ok',
    ],
  },
  {
    name: 'a refusal by a count uses up nothing of a rate',
    limit: { sessions: 1, rate: { most: 2, per: 1000 } },
    steps: ['+10.0.0.1 ok', '+10.0.0.1 sessions', '+10.0.0.1 sessions', '-1', '+10.0.0.1 ok'],
  },
];

suite('Limits', () => {
  for (const { name, limit, steps } of ROWS) {
    test(name, () => {
      const memory = createLimitMemory(SEED, 64);
      const limits = new Limits(memory);
      const leases: Lease[] = [];
      let now = 1000;
      for (const step of steps) {
        const [what = '', user, outcome = user] = step.slice(1).split(' ');
        if (step.startsWith('~')) {
          now += Number(what);
          continue;
        }
        if (step.startsWith('-')) {
          limits.release(leases[Number(what) - 1]!);
          continue;
        }
        const claims = ruleClaims(rule('web', limit), outcome === user ? undefined : user, parseIp(what)!);
        const acquired = limits.acquire(claims, now);
        if ('lease' in acquired) leases.push(acquired.lease);
        assert.equal('lease' in acquired ? 'ok' : acquired.refused, outcome, step);
      }
      for (const lease of leases) limits.release(lease);
      assert.equal(counted(memory), 0);
    });
  }

  test('each rule has its own count, by name, which survives a change of the limit', () => {
    const limits = new Limits(createLimitMemory(SEED, 64));
    assert.ok('lease' in acquire(limits, rule('web', { sessions: 1 }), 'alice'));
    assert.ok('lease' in acquire(limits, rule('mail', { sessions: 1 }), 'alice'));
    assert.ok('lease' in acquire(limits, rule('web', { sessions: 2 }), 'alice'));
    assert.deepEqual(acquire(limits, rule('web', { sessions: 2 }), 'alice'), { refused: 'sessions' });
  });

  test('a full table refuses whatever the limit, and accepts again after a release', () => {
    const memory = createLimitMemory(SEED, 32);
    const limits = new Limits(memory);
    const web = rule('web', { sessionsPerUser: 1000 });
    const leases = Array.from({ length: 32 }, (_, i) => lend(limits, web, `user${i}`));
    assert.deepEqual(acquire(limits, web, 'one-more'), { refused: 'table' });
    leases.push(lend(limits, web, 'user7'));
    limits.release(leases[0]!);
    leases.push(lend(limits, web, 'one-more'));
    for (const held of leases) limits.release(held);
    assert.equal(counted(memory), 0);
  });

  test('a refusal by the table undoes the limits that were counted before', () => {
    const memory = createLimitMemory(SEED, 32);
    const limits = new Limits(memory);
    for (let i = 0; i < 31; i++) lend(limits, rule('other', { sessionsPerUser: 1 }), `user${i}`);
    const both = rule('web', { sessions: 10, sessionsPerUser: 10 });
    assert.deepEqual(acquire(limits, both, 'alice'), { refused: 'table' });
    assert.equal(counted(memory), 31);
  });

  test('10,000 sessions of as many users and addresses fit in a table of the default size', () => {
    const memory = createLimitMemory(SEED);
    const limits = new Limits(memory);
    const web = rule('web', { sessions: 10_000, sessionsPerUser: 1, sessionsPerAddress: 1 });
    const leases = Array.from({ length: 10_000 }, (_, i) => {
      const acquired = acquire(limits, web, `user${i}`, { family: 4, words: [0, 0, 0, i] });
      assert.ok('lease' in acquired);
      return acquired.lease;
    });
    assert.equal(counted(memory), 30_000);
    for (const held of leases) limits.release(held);
    assert.equal(counted(memory), 0);
  });

  test('connections in total, and per address', () => {
    const limits = new Limits(createLimitMemory(SEED, 64));
    const come = (address: string): string => {
      const claims = connectionClaims({ connections: 4, perAddress: 2 })(parseIp(address)!);
      const acquired = limits.acquire(claims, 0);
      return 'refused' in acquired ? acquired.refused : 'ok';
    };
    const clients = ['10.0.0.1', '::ffff:10.0.0.1', '10.0.0.1', '2001:db8::1', '2001:db8::2', '2001:db8::3'];
    assert.deepEqual(clients.map(come), ['ok', 'ok', 'per-address', 'ok', 'ok', 'connections']);
  });

  test('rates of other clients cause no refusal: those that expire first are dropped', () => {
    const memory = createLimitMemory(SEED, 32);
    const limits = new Limits(memory);
    for (let i = 0; i < 100; i++) assert.ok('lease' in limits.acquire([rate(`stranger ${i}`)], i));
    const count = { limit: 'per-address', whom: ['somebody'], most: 1 } as const;
    assert.ok('lease' in limits.acquire([count], 100));
    // The latest stranger still has an entry.
    assert.deepEqual(limits.acquire([rate('stranger 99')], 101), { refused: 'rate-per-address' });
    assert.deepEqual(limits.acquire([count], 102), { refused: 'per-address' });
  });

  test('expired rates make room in the table', () => {
    const limits = new Limits(createLimitMemory(SEED, 32));
    const web = rule('web', { ratePerAddress: { most: 5, per: 1000 } });
    for (let second = 0; second < 50; second++) {
      const claims = ruleClaims(web, undefined, { family: 4, words: [0, 0, 0, second] });
      for (let i = 0; i < 5; i++) assert.ok('lease' in limits.acquire(claims, second * 1000));
      assert.deepEqual(limits.acquire(claims, second * 1000), { refused: 'rate-per-address' });
    }
  });

  test('property: counts as a map would, and never below 0', () => {
    const step = fc.oneof(
      fc.record({ user: fc.constantFrom('a', 'b', 'c'), client: fc.nat(2) }),
      fc.record({ release: fc.nat(20) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const memory = createLimitMemory(SEED, 64);
        const limits = new Limits(memory);
        const web = rule('web', { sessions: 5, sessionsPerUser: 3, sessionsPerAddress: 2 });
        const open: { keys: string[]; lease: Lease }[] = [];
        const count = (key: string): number => open.filter(({ keys }) => keys.includes(key)).length;
        for (const next of steps) {
          if ('release' in next) {
            for (const { lease: held } of open.splice(next.release, 1)) limits.release(held);
          } else {
            const [user, address] = [`user ${next.user}`, `address ${next.client}`];
            const expected =
              open.length >= 5
                ? 'sessions'
                : count(user) >= 3
                  ? 'sessions-per-user'
                  : count(address) >= 2
                    ? 'sessions-per-address'
                    : undefined;
            const acquired = acquire(limits, web, next.user, {
              family: 4,
              words: [0, 0, 0, next.client],
            });
            assert.equal('refused' in acquired ? acquired.refused : undefined, expected);
            if ('lease' in acquired) open.push({ keys: [user, address], lease: acquired.lease });
          }
          assert.equal(counted(memory), 3 * open.length);
        }
      }),
    );
  });

  test('threads count together and lose nothing', async () => {
    const memory = createLimitMemory(SEED, 64);
    const workers = Array.from({ length: 3 }, () => new Worker(THREAD, { eval: true, workerData: memory }));
    const ends = await Promise.all(workers.map((worker) => once(worker, 'message')));
    await Promise.all(workers.map((worker) => worker.terminate()));
    assert.deepEqual(ends, [['done'], ['done'], ['done']]);
    assert.equal(counted(memory), 0);
  });

  test('a table has a power of two of entries, 32 at least', () => {
    for (const entries of [0, 16, 33, 100, 64.5, NaN]) {
      assert.throws(() => createLimitMemory(SEED, entries), RangeError);
    }
  });
});

const SEED = [0x01234567, 0x89abcdef] as const;
const CLIENT = parseIp('10.0.0.1')!;

/** Acquires and releases two sessions at a time, against a limit that three threads exactly reach. */
const THREAD = `
  const { parentPort, workerData } = require('node:worker_threads');
  import(${JSON.stringify(new URL('limits.ts', import.meta.url).href)}).then(({ Limits }) => {
    const limits = new Limits(workerData);
    const acquire = () => limits.acquire([{ limit: 'sessions', whom: ['web'], most: 6 }], 1000);
    let end = 'done';
    for (let i = 0; i < 20_000; i++) {
      const held = [acquire(), acquire()];
      if (held.some((acquired) => 'refused' in acquired)) end = 'refused';
      for (const { lease } of held) if (lease !== undefined) limits.release(lease);
    }
    parentPort.postMessage(end);
  });
`;

type LimitedRule = Pick<RuleOptions, 'name' | 'limit'>;

function acquire(limits: Limits, limited: LimitedRule, user: string, client: Ip = CLIENT): Acquired {
  return limits.acquire(ruleClaims(limited, user, client), 1000);
}

function rule(name: string, limit: LimitOptions | undefined): LimitedRule {
  return limit === undefined ? { name } : { name, limit };
}

function lend(limits: Limits, limited: LimitedRule, user: string): Lease {
  const acquired = acquire(limits, limited, user);
  assert.ok('lease' in acquired, `${user} refused`);
  return acquired.lease;
}

/** The sum of all counts in the table: every second 64-bit word after the first two. Rates are negative. */
function counted(memory: SharedArrayBuffer): number {
  const counts = new Float64Array(memory).subarray(2).filter((value, i) => i % 2 === 1 && value > 0);
  assert.ok(counts.every((count) => Number.isInteger(count)));
  return counts.reduce((sum, count) => sum + count, 0);
}

function rate(whom: string): Claim {
  return { limit: 'rate-per-address', whom: [whom], most: 1, per: 1e6 };
}
