import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BackOff } from './back-off.ts';

const MINUTE = 60_000;

function setup(options: { counts?: number; known?: number } = {}) {
  const clock = { time: 1_000_000 };
  const backOff = new BackOff({ now: () => clock.time, ...options });
  const fail = (times: number, user: string, address: string): void => {
    for (let i = 0; i < times; i++) backOff.failed(user, address);
  };
  /** How long an attempt is refused from now on, to the millisecond; the clock is reset afterwards. */
  const delay = (user: string, address: string): number => {
    const start = clock.time;
    const held = (ms: number): boolean => {
      clock.time = start + ms;
      return backOff.holds(user, address);
    };
    let [low, high] = [0, 64 * MINUTE];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (held(middle)) low = middle + 1;
      else high = middle;
    }
    clock.time = start;
    return low;
  };
  return { clock, backOff, fail, delay };
}

test('four failures cost nothing, the fifth a second, and each further one doubles the delay, up to 15 minutes', () => {
  const { backOff, delay } = setup();
  const delays = Array.from({ length: 17 }, () => {
    backOff.failed('alice', '192.0.2.1');
    return delay('alice', '192.0.2.1') / 1000;
  });
  assert.deepEqual(delays, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
});

test('an address is held whatever name it tries', () => {
  const { fail, delay } = setup();
  for (const user of ['a', 'b', 'c', 'd', 'e', 'f']) fail(1, user, '192.0.2.1');
  assert.equal(delay('g', '192.0.2.1'), 2000);
  assert.equal(delay('a', '192.0.2.2'), 0);
});

test('a name is held whatever address tries it, known or not', () => {
  const { fail, delay } = setup();
  for (let i = 1; i <= 6; i++) fail(1, 'nobody', `192.0.2.${i}`);
  assert.equal(delay('nobody', '192.0.2.99'), 2000);
  assert.equal(delay('somebody', '192.0.2.99'), 0);
});

test('a count is forgotten an hour after the last failure', () => {
  const { clock, fail, delay } = setup();
  fail(9, 'alice', '192.0.2.1');
  clock.time += 60 * MINUTE - 1;
  fail(1, 'alice', '192.0.2.1');
  assert.equal(delay('alice', '192.0.2.1'), 32_000);
  clock.time += 60 * MINUTE;
  fail(1, 'alice', '192.0.2.1');
  assert.equal(delay('alice', '192.0.2.1'), 0);
});

test('a success clears the count of the address, not that of the name', () => {
  const { backOff, fail, delay } = setup();
  fail(4, 'alice', '192.0.2.1');
  backOff.succeeded('alice', '192.0.2.1');
  fail(4, 'bob', '192.0.2.1');
  assert.equal(delay('bob', '192.0.2.1'), 0);
  fail(1, 'alice', '192.0.2.2');
  assert.equal(delay('alice', '192.0.2.3'), 1000);
});

test('strangers who guess at a name do not hold up an address that has logged in under it', () => {
  const { backOff, fail, delay } = setup();
  backOff.succeeded('alice', '192.0.2.1');
  for (let i = 1; i <= 30; i++) fail(1, 'alice', `198.51.100.${i}`);
  assert.equal(delay('alice', '198.51.100.200'), 15 * MINUTE);
  assert.equal(delay('alice', '192.0.2.1'), 0);
});

test('neighbours behind the same address do not hold up a user who has logged in from it', () => {
  const { backOff, fail, delay } = setup();
  backOff.succeeded('alice', '192.0.2.1');
  fail(30, 'bob', '192.0.2.1');
  assert.equal(delay('alice', '192.0.2.1'), 0);
  assert.equal(delay('carol', '192.0.2.1'), 1000);
});

test('an address that has logged in waits a second at most for its own failures', () => {
  const { backOff, fail, delay } = setup();
  backOff.succeeded('alice', '192.0.2.1');
  fail(4, 'alice', '192.0.2.1');
  assert.equal(delay('alice', '192.0.2.1'), 0);
  fail(16, 'alice', '192.0.2.1');
  assert.equal(delay('alice', '192.0.2.1'), 1000);
});

test('neighbours who guess at a known login are slowed down like strangers, even if its owner logs in', () => {
  const { backOff, clock, delay } = setup();
  backOff.succeeded('alice', '192.0.2.1');
  let guesses = 0;
  const end = clock.time + 24 * 60 * MINUTE;
  for (let lastLogin = clock.time; clock.time < end; guesses++) {
    const held = delay('alice', '192.0.2.1');
    clock.time += held;
    backOff.failed('alice', '192.0.2.1');
    if (clock.time - lastLogin < 10 * MINUTE) continue;
    backOff.succeeded('alice', '192.0.2.1');
    lastLogin = clock.time;
  }
  assert.ok(guesses < 150, `${guesses} guesses in a day`);
  // Its owner can log in from elsewhere.
  assert.equal(delay('alice', '198.51.100.1'), 0);
});

test('a login under one name gives no freedom to guess at another', () => {
  const { backOff, delay } = setup();
  for (let i = 0; i < 30; i++) {
    backOff.succeeded('mallory', '192.0.2.1');
    backOff.failed('alice', '192.0.2.1');
  }
  assert.equal(delay('alice', '192.0.2.1'), 15 * MINUTE);
  assert.equal(delay('mallory', '192.0.2.1'), 0);
});

const SAME = [
  ['2001:db8:1:2::1', '2001:db8:1:2:ffff::2', true],
  ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
  ['192.0.2.1', '::ffff:192.0.2.1', true],
  ['192.0.2.1', '64:ff9b::192.0.2.1', false],
  ['64:ff9b::192.0.2.1', '64:ff9b::192.0.2.2', true],
  ['192.0.2.1', '2002:c000:201::1', false],
  ['2002:c000:201:7::1', '2002:c000:201:7::2', true],
  ['2002:c000:201::1', '2002:c000:201:7::1', false],
  ['fe80::1%eth0', 'fe80::2', true],
  ['192.0.2.1', '192.0.2.2', false],
  ['127.0.0.1', '::1', false],
  ['/run/garter.sock', '', true],
] as const;

for (const [one, other, same] of SAME) {
  test(`${one || 'no address'} and ${other || 'no address'} are ${same ? 'one' : 'two'}`, () => {
    const { fail, delay } = setup();
    fail(5, 'alice', one);
    assert.equal(delay('bob', other), same ? 1000 : 0);
  });
}

test('the counts are bounded; the oldest goes first', () => {
  const { fail, delay } = setup({ counts: 4 });
  fail(5, 'alice', '192.0.2.1');
  fail(5, 'bob', '192.0.2.2');
  assert.equal(delay('alice', '192.0.2.1'), 1000);
  fail(5, 'carol', '192.0.2.3');
  fail(5, 'dave', '192.0.2.4');
  assert.equal(delay('alice', '192.0.2.1'), 0);
  assert.equal(delay('dave', '192.0.2.4'), 1000);
});

test('known logins are bounded; one in use stays', () => {
  const { backOff, fail, delay } = setup({ known: 4 });
  backOff.succeeded('alice', '192.0.2.1');
  backOff.succeeded('bob', '192.0.2.2');
  backOff.succeeded('alice', '192.0.2.1');
  backOff.succeeded('carol', '192.0.2.3');
  for (let i = 1; i <= 9; i++) for (const user of ['alice', 'bob']) fail(1, user, `198.51.100.${i}`);
  assert.equal(delay('alice', '192.0.2.1'), 0);
  assert.equal(delay('bob', '192.0.2.2'), 16_000);
});
