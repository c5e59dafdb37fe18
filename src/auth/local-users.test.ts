import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { COST, hashPassword, parseHash, verifyPassword } from './argon2.ts';
import { BackOff } from './back-off.ts';
import { FairQueue } from '../limits/fair-queue.ts';
import { LocalUsers, plainUser } from './local-users.ts';
import type { User } from './users-file.ts';

// "password" at little cost (the first vector of argon2.test.ts).
const HASH = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';
const OTHER_COST = HASH.replace('m=256', 'm=64');
const alice: User = { name: 'alice', hash: HASH, groups: ['staff'] };
const right = { ok: true, identity: { user: 'alice', groups: ['staff'] } };
const HOME = '192.0.2.1';

const refused = (reason: string): object => ({ ok: false, reason });

function setup(
  users: readonly User[] = [alice],
  turns: FairQueue = new FairQueue({ running: 2, waiting: 64 }),
) {
  const compared: string[] = [];
  const clock = { time: Date.UTC(2027, 0, 31, 12) };
  const local = new LocalUsers(users, {
    backOff: new BackOff({ now: () => 0 }),
    turns,
    now: () => clock.time,
    compare: (hash, password) => {
      compared.push(hash);
      return verifyPassword(hash, password);
    },
  });
  return { local, compared, clock };
}

/** A comparison that ends when it is told to. */
function setupHeld(turns?: FairQueue) {
  const calls: { password: string; answer: (right: boolean) => void; fail: (error: Error) => void }[] = [];
  const local = new LocalUsers([alice], {
    backOff: new BackOff({ now: () => 0 }),
    ...(turns !== undefined && { turns }),
    compare: (_, password) =>
      new Promise((answer, fail) => {
        calls.push({ password, answer, fail });
      }),
  });
  return { local, calls };
}

test('knows a right password from a wrong one', async () => {
  const { local } = setup();
  assert.deepEqual(await local.verify('alice', 'password', HOME), right);
  assert.deepEqual(await local.verify('alice', 'Password', HOME), refused('wrong'));
  assert.deepEqual(await local.verify('alice', '', HOME), refused('wrong'));
  assert.deepEqual(await local.verify('Alice', 'password', HOME), refused('wrong'));
});

test('an unknown name costs one comparison, at the cost of a known one, and nobody has its password', async () => {
  const { local, compared } = setup();
  for (const name of ['nobody', '', 'alice\0', '__proto__', 'å'.repeat(127)]) {
    compared.length = 0;
    assert.deepEqual(await local.verify(name, 'password', `192.0.2.${name.length}`), refused('wrong'));
    const [decoy] = compared;
    assert.equal(compared.length, 1);
    assert(decoy !== undefined);
    assert(decoy.startsWith('$argon2id$v=19$m=256,t=2,p=1$'), decoy);
    assert.notEqual(decoy, HASH);
  }
});

/** Users whose hashes take 10 ms, and one whose hash takes 100, by a clock of their own. */
function setupUnequal(users: readonly User[]) {
  const clock = { elapsed: 1000, dear: 0 };
  const local = new LocalUsers(users, {
    backOff: new BackOff({ now: () => 0 }),
    turns: new FairQueue({ running: 1, waiting: 64 }),
    now: () => Date.UTC(2027, 1, 1),
    elapsed: () => clock.elapsed,
    wait: async (ms) => {
      clock.elapsed += ms;
    },
    compare: (hash, password) => {
      const isDear = hash.includes('m=256');
      clock.elapsed += isDear ? 100 : 10;
      if (isDear) clock.dear++;
      return verifyPassword(hash, password);
    },
  });
  const time = async (name: string, password: string): Promise<number> => {
    const begun = clock.elapsed;
    const verdict = await local.verify(name, password, `192.0.2.${Math.floor(begun / 100) % 250}`);
    assert(!verdict.ok);
    return clock.elapsed - begun;
  };
  return { local, clock, time };
}

const cheap = (name: string): User => ({ ...alice, name, hash: OTHER_COST });
const UNEQUAL = [cheap('bob'), cheap('carol'), alice, { ...alice, name: 'dave', expires: '2027-01-31' }];

test('where hashes differ in cost, every refusal takes as long as the dearest, which is not made for it', async () => {
  const { clock, time } = setupUnequal([...UNEQUAL, cheap('erin')]);
  // The first waits for the measurement, which was made when the users were read.
  await time('nobody', 'first');
  assert.equal(clock.dear, 1);
  for (const [name, password, dear] of [
    ['nobody', 'a', 1],
    ['bob', 'a', 1],
    ['no one', 'a', 1],
    ['alice', 'a', 2],
    ['dave', 'password', 3],
  ] as const) {
    assert.equal(await time(name, password), 100, name);
    assert.equal(clock.dear, dear, name);
  }
});

test('an attempt that is remembered or held back is refused at once', async () => {
  const { local, time } = setupUnequal(UNEQUAL);
  await time('bob', 'first');
  assert.equal(await time('bob', 'first'), 0);
  for (let i = 0; i < 5; i++) await local.verify('bob', `guess ${i}`, HOME);
  assert.equal(await time('bob', 'more'), 0);
});

test('who asks the same meanwhile waits as long', async () => {
  const { local, clock } = setupUnequal(UNEQUAL);
  await local.verify('nobody', 'first', HOME);
  const waits: ((value: unknown) => void)[] = [];
  const held = new LocalUsers(UNEQUAL, {
    elapsed: () => clock.elapsed,
    wait: () => new Promise((resolve) => waits.push(resolve)),
    compare: async (hash) => {
      clock.elapsed += hash.includes('m=256') ? 100 : 10;
      return false;
    },
  });
  let answers = 0;
  const asked = Array.from({ length: 3 }, async (_, i) => {
    for (let turn = 0; turn < i * 20; turn++) await Promise.resolve();
    await held.verify('nobody', 'a', HOME);
    answers++;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([answers, waits.length], [0, 1]);
  waits[0]!(undefined);
  await Promise.all(asked);
  assert.equal(answers, 3);
});

test('the dearest is measured again after a while, however many ask, and after a change of the users', async () => {
  const { local, clock, time } = setupUnequal(UNEQUAL);
  await time('nobody', 'first');
  const before = clock.dear;
  for (let i = 0; i < 20; i++) await time(`nobody ${i}`, 'a');
  assert.equal(clock.dear, before);
  clock.elapsed += 60_000;
  for (let i = 0; i < 20; i++) await time(`no one ${i}`, 'a');
  assert.equal(clock.dear, before + 1);
  local.reload([cheap('bob'), { ...alice, hash: HASH.replace('m=256', 'm=2560') }]);
  await time('nobody', 'b');
  assert.equal(clock.dear, before + 2);
});

test('an unknown name costs what most known ones do', async () => {
  const { local, compared } = setup([cheap('bob'), alice, cheap('carol')]);
  for (let i = 0; i < 10; i++) await local.verify(`nobody${i}`, 'a', `192.0.2.${i}`);
  const costs = compared.map((hash) => hash.split('$')[3]);
  assert.equal(costs.filter((cost) => cost === 'm=64,t=2,p=1').length, 10);
});

test('without any user an unknown name costs what a new hash does', async () => {
  const { local, compared } = setup([]);
  assert.deepEqual(await local.verify('nobody', 'password', HOME), refused('wrong'));
  const decoy = parseHash(compared[0]!);
  assert(typeof decoy === 'object');
  assert.equal(decoy.memory, COST.memory);
});

test('the same password again costs no hash, right or wrong, known or not', async () => {
  const { local, compared } = setup();
  for (const [name, password] of [
    ['alice', 'password'],
    ['alice', 'wrong'],
    ['nobody', 'password'],
  ] as const) {
    compared.length = 0;
    for (let i = 0; i < 20; i++) await local.verify(name, password, HOME);
    assert.equal(compared.length, 1, `${name} ${password}`);
  }
});

test('a program that repeats one wrong password makes one guess', async () => {
  const { local } = setup();
  for (let i = 0; i < 100; i++)
    assert.deepEqual(await local.verify('alice', 'stale', HOME), refused('wrong'));
  assert.deepEqual(await local.verify('alice', 'password', HOME), right);
});

test('a name and a password that run together are not mixed up', async () => {
  const { local, compared } = setup();
  await local.verify('a', 'bc', HOME);
  await local.verify('ab', 'c', HOME);
  await local.verify('a","b', 'c', HOME);
  await local.verify('a', 'b","c', HOME);
  assert.equal(compared.length, 4);
});

test('a hundred connections at once cost one hash', async () => {
  const { local, compared } = setup([alice], new FairQueue({ running: 1, waiting: 0 }));
  const verdicts = await Promise.all(
    Array.from({ length: 100 }, (_, i) => local.verify('alice', 'password', `192.0.2.${i}`)),
  );
  for (const verdict of verdicts) assert.deepEqual(verdict, right);
  assert.equal(compared.length, 1);
});

test('a hundred wrong ones at once count as one guess', async () => {
  const { local, compared } = setup();
  await Promise.all(Array.from({ length: 100 }, () => local.verify('alice', 'wrong', HOME)));
  assert.equal(compared.length, 1);
  assert.deepEqual(await local.verify('alice', 'password', HOME), right);
});

test('beyond the line it is busy, and says so at once', async () => {
  const { local, calls } = setupHeld(new FairQueue({ running: 1, waiting: 1 }));
  const first = local.verify('alice', 'a', HOME);
  const second = local.verify('alice', 'b', HOME);
  assert.deepEqual(await local.verify('alice', 'c', HOME), refused('busy'));
  calls[0]?.answer(true);
  assert.deepEqual(await first, right);
  calls[1]?.answer(false);
  assert.deepEqual(await second, refused('wrong'));
});

test('being busy counts as no failure and is not remembered', async () => {
  const { local, calls } = setupHeld(new FairQueue({ running: 1, waiting: 0 }));
  const first = local.verify('alice', 'other', HOME);
  for (let i = 0; i < 20; i++) {
    assert.deepEqual(await local.verify('alice', 'password', HOME), refused('busy'));
  }
  calls[0]?.answer(false);
  await first;
  const again = local.verify('alice', 'password', HOME);
  calls[1]?.answer(true);
  assert.deepEqual(await again, right);
});

test('after five guesses the next is refused unlooked-at, even the right one', async () => {
  const { local, compared } = setup();
  for (let i = 0; i < 5; i++) {
    assert.deepEqual(await local.verify('alice', `guess ${i}`, HOME), refused('wrong'));
  }
  assert.deepEqual(await local.verify('alice', 'password', HOME), refused('back-off'));
  assert.equal(compared.length, 5);
});

test('a name that nobody has is held in the same way', async () => {
  const { local } = setup();
  for (let i = 0; i < 5; i++) await local.verify('nobody', 'guess', `192.0.2.${i}`);
  for (let i = 0; i < 5; i++) await local.verify('nobody', `guess ${i}`, `192.0.2.${i}`);
  assert.deepEqual(await local.verify('nobody', 'password', '198.51.100.1'), refused('back-off'));
});

test('a burst of guesses gets no more looks than guesses in turn', async () => {
  const { local, compared } = setup([alice], new FairQueue({ running: 1, waiting: 64 }));
  const verdicts = await Promise.all(
    Array.from({ length: 50 }, (_, i) => local.verify('alice', `guess ${i}`, HOME)),
  );
  assert.equal(compared.length, 5);
  assert.deepEqual(
    verdicts.map((verdict) => !verdict.ok && verdict.reason),
    Array.from({ length: 50 }, (_, i) => (i < 5 ? 'wrong' : 'back-off')),
  );
});

test('strangers who guess do not keep out an address that has logged in before', async () => {
  const { local } = setup();
  await local.verify('alice', 'password', HOME);
  for (let i = 0; i < 20; i++) await local.verify('alice', `guess ${i}`, `198.51.100.${i}`);
  assert.deepEqual(await local.verify('alice', 'password', '198.51.100.99'), refused('back-off'));
  assert.deepEqual(await local.verify('alice', 'password', HOME), right);
});

test('an expired user is refused, though only the owner of the password is told why', async () => {
  const { local, clock } = setup([{ ...alice, expires: '2027-01-31' }]);
  assert.deepEqual(await local.verify('alice', 'password', HOME), right);
  assert.deepEqual(local.identity('alice', clock.time), right.identity);
  clock.time = Date.UTC(2027, 1, 1);
  assert.deepEqual(await local.verify('alice', 'password', HOME), refused('expired'));
  assert.deepEqual(await local.verify('alice', 'wrong', HOME), refused('wrong'));
  assert.equal(local.identity('alice', clock.time), undefined);
});

test('reload replaces the users and forgets what was compared', async () => {
  const { local, compared } = setup();
  assert.deepEqual(await local.verify('alice', 'password', HOME), right);
  local.reload([{ ...alice, groups: ['admins'] }]);
  assert.deepEqual(await local.verify('alice', 'password', HOME), {
    ok: true,
    identity: { user: 'alice', groups: ['admins'] },
  });
  assert.equal(compared.length, 2);
  local.reload([{ ...alice, hash: OTHER_COST }]);
  assert.deepEqual(await local.verify('alice', 'password', HOME), refused('wrong'));
  local.reload([]);
  assert.equal(local.identity('alice', 0), undefined);
  assert.deepEqual(await local.verify('alice', 'password', HOME), refused('wrong'));
});

test('reload does not forget who is guessing', async () => {
  const { local } = setup();
  for (let i = 0; i < 5; i++) await local.verify('alice', `guess ${i}`, HOME);
  local.reload([alice]);
  assert.deepEqual(await local.verify('alice', 'password', HOME), refused('back-off'));
});

test('who is removed, or gets a new password, during the comparison is not let in', async () => {
  for (const users of [[], [{ ...alice, hash: OTHER_COST }]]) {
    const { local, calls } = setupHeld();
    const verdict = local.verify('alice', 'password', HOME);
    local.reload(users);
    calls[0]?.answer(true);
    assert.deepEqual(await verdict, refused('busy'));
  }
});

test('a comparison that breaks rejects for all who wait, and is not remembered', async () => {
  const { local, calls } = setupHeld();
  const both = [local.verify('alice', 'password', HOME), local.verify('alice', 'password', HOME)];
  calls[0]?.fail(new Error('broken'));
  for (const verdict of await Promise.allSettled(both)) assert.equal(verdict.status, 'rejected');
  const again = local.verify('alice', 'password', HOME);
  calls[1]?.answer(true);
  assert.deepEqual(await again, right);
});

test('of two users with one name the later counts', () => {
  const { local } = setup([alice, { ...alice, groups: [] }]);
  assert.deepEqual(local.identity('alice', 0)?.groups, []);
});

test('a user from the environment is kept as a hash only', async () => {
  const user = await plainUser('env', 'hunter2');
  assert(!inspect(user, { depth: null }).includes('hunter2'));
  const local = new LocalUsers([user]);
  assert.deepEqual(await local.verify('env', 'hunter2', HOME), {
    ok: true,
    identity: { user: 'env', groups: [] },
  });
  assert.deepEqual(await local.verify('env', 'hunter3', HOME), refused('wrong'));
  assert(!inspect(local, { depth: null, showHidden: true }).includes('hunter2'));
});

const UNFIT = [
  ['@env', 'hunter2', /the name begins with "@"/],
  ['', 'hunter2', /the name is empty/],
  ['env', '', /the password is empty/],
  ['env', 'hunter2'.repeat(40), /^the password is longer than 255 bytes$/],
] as const;

for (const [name, password, message] of UNFIT) {
  test(`refuses ${name || 'no name'} with a password of ${password.length} bytes`, async () => {
    await assert.rejects(plainUser(name, password), { name: 'RangeError', message });
  });
}

test('the real thing: hashing leaves the event loop alone', async () => {
  const hash = await hashPassword('password');
  let turns = 0;
  const ticking = setInterval(() => turns++, 1);
  const local = new LocalUsers([{ ...alice, hash }]);
  assert.deepEqual(await local.verify('alice', 'password', HOME), right);
  clearInterval(ticking);
  assert(turns > 0, 'no timer ran during the hash');
});
