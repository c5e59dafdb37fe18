import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { FairQueue } from '../limits/fair-queue.ts';
import { hashPassword, verifyPassword } from './argon2.ts';
import { Authenticator } from './authenticator.ts';
import type { BackEndAnswer, PasswordBackEnd } from './back-end.ts';
import { BackOff } from './back-off.ts';
import { LocalUsers, plainUser } from './local-users.ts';
import type { User } from './users-file.ts';

// "password" at a low cost (the first vector of argon2.test.ts).
const HASH = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';
const OTHER_COST = HASH.replace('m=256', 'm=64');
const alice: User = { name: 'alice', hash: HASH, groups: ['staff'] };
const right = { ok: true, identity: { user: 'alice', groups: ['staff'] } };
const HOME = '192.0.2.1';

const refused = (reason: string): object => ({ ok: false, reason });

function setup(
  users: readonly User[] = [alice],
  queue: FairQueue = new FairQueue({ running: 2, waiting: 64 }),
) {
  const compared: string[] = [];
  const clock = { time: Date.UTC(2027, 0, 31, 12) };
  const local = new LocalUsers(users, {
    compare: (hash, password) => {
      compared.push(hash);
      return verifyPassword(hash, password);
    },
  });
  const authenticator = new Authenticator(local, {
    backOff: new BackOff({ now: () => 0 }),
    queue,
    now: () => clock.time,
  });
  return { authenticator, reload: reloading(local, authenticator), compared, clock };
}

function reloading(local: LocalUsers, authenticator: Authenticator) {
  return (users: readonly User[]): void => {
    local.reload(users);
    authenticator.usersChanged();
  };
}

/** A comparison that ends on request. */
function setupHeld(queue?: FairQueue) {
  const calls: { password: string; answer: (right: boolean) => void; fail: (error: Error) => void }[] = [];
  const local = new LocalUsers([alice], {
    compare: (_, password) =>
      new Promise((answer, fail) => {
        calls.push({ password, answer, fail });
      }),
  });
  const authenticator = new Authenticator(local, {
    backOff: new BackOff({ now: () => 0 }),
    ...(queue !== undefined && { queue }),
  });
  return { authenticator, reload: reloading(local, authenticator), calls };
}

test('distinguishes a right password from a wrong one', async () => {
  const { authenticator } = setup();
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), right);
  assert.deepEqual(await authenticator.verify('alice', 'Password', HOME), refused('wrong'));
  assert.deepEqual(await authenticator.verify('alice', '', HOME), refused('wrong'));
  assert.deepEqual(await authenticator.verify('Alice', 'password', HOME), refused('wrong'));
});

/** Users whose hashes take 10 ms, and one whose hash takes 100, by a separate clock. */
function setupUnequal(users: readonly User[]) {
  const clock = { elapsed: 1000, dear: 0 };
  const elapsed = (): number => clock.elapsed;
  const local = new LocalUsers(users, {
    elapsed,
    compare: (hash, password) => {
      const isDear = hash.includes('m=256');
      clock.elapsed += isDear ? 100 : 10;
      if (isDear) clock.dear++;
      return verifyPassword(hash, password);
    },
  });
  const authenticator = new Authenticator(local, {
    backOff: new BackOff({ now: () => 0 }),
    queue: new FairQueue({ running: 1, waiting: 64 }),
    now: () => Date.UTC(2027, 1, 1),
    elapsed,
    wait: async (ms) => {
      clock.elapsed += ms;
    },
  });
  const time = async (name: string, password: string): Promise<number> => {
    const begun = clock.elapsed;
    const verdict = await authenticator.verify(name, password, `192.0.2.${Math.floor(begun / 100) % 250}`);
    assert(!verdict.ok);
    return clock.elapsed - begun;
  };
  return { authenticator, reload: reloading(local, authenticator), clock, time };
}

const cheap = (name: string): User => ({ ...alice, name, hash: OTHER_COST });
const UNEQUAL = [cheap('bob'), cheap('carol'), alice, { ...alice, name: 'dave', expires: '2027-01-31' }];

test('where hashes differ in cost, every refusal takes as long as the most expensive hash, without computing it', async () => {
  const { clock, time } = setupUnequal([...UNEQUAL, cheap('erin')]);
  // The first waits for the measurement that began when the users were read.
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

test('a cached or held-back attempt is refused at once', async () => {
  const { authenticator, time } = setupUnequal(UNEQUAL);
  await time('bob', 'first');
  assert.equal(await time('bob', 'first'), 0);
  for (let i = 0; i < 5; i++) await authenticator.verify('bob', `guess ${i}`, HOME);
  assert.equal(await time('bob', 'more'), 0);
});

test('identical attempts meanwhile wait just as long', async () => {
  const { authenticator, clock } = setupUnequal(UNEQUAL);
  await authenticator.verify('nobody', 'first', HOME);
  const waits: ((value: unknown) => void)[] = [];
  const elapsed = (): number => clock.elapsed;
  const local = new LocalUsers(UNEQUAL, {
    elapsed,
    compare: async (hash) => {
      clock.elapsed += hash.includes('m=256') ? 100 : 10;
      return false;
    },
  });
  const held = new Authenticator(local, {
    elapsed,
    wait: () => new Promise((resolve) => waits.push(resolve)),
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

test('the most expensive hash is measured again after a while, once for many attempts, and after a change of the users', async () => {
  const { reload, clock, time } = setupUnequal(UNEQUAL);
  await time('nobody', 'first');
  const before = clock.dear;
  for (let i = 0; i < 20; i++) await time(`nobody ${i}`, 'a');
  assert.equal(clock.dear, before);
  clock.elapsed += 60_000;
  for (let i = 0; i < 20; i++) await time(`no one ${i}`, 'a');
  assert.equal(clock.dear, before + 1);
  reload([cheap('bob'), { ...alice, hash: HASH.replace('m=256', 'm=2560') }]);
  await time('nobody', 'b');
  assert.equal(clock.dear, before + 2);
});

test('the same password again costs no hash, right or wrong, known or not', async () => {
  const { authenticator, compared } = setup();
  for (const [name, password] of [
    ['alice', 'password'],
    ['alice', 'wrong'],
    ['nobody', 'password'],
  ] as const) {
    compared.length = 0;
    for (let i = 0; i < 20; i++) await authenticator.verify(name, password, HOME);
    assert.equal(compared.length, 1, `${name} ${password}`);
  }
});

test('a program that repeats one wrong password makes one guess', async () => {
  const { authenticator } = setup();
  for (let i = 0; i < 100; i++) {
    const verdict = await authenticator.verify('alice', 'stale', HOME);
    assert.deepEqual(verdict, refused(i === 0 ? 'wrong' : 'wrong-again'));
  }
  authenticator.usersChanged();
  assert.deepEqual(await authenticator.verify('alice', 'stale', HOME), refused('wrong'));
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), right);
});

test('a name and a password that run together are not mixed up', async () => {
  const { authenticator, compared } = setup();
  await authenticator.verify('a', 'bc', HOME);
  await authenticator.verify('ab', 'c', HOME);
  await authenticator.verify('a","b', 'c', HOME);
  await authenticator.verify('a', 'b","c', HOME);
  assert.equal(compared.length, 4);
});

test('a hundred connections at once cost one hash', async () => {
  const { authenticator, compared } = setup([alice], new FairQueue({ running: 1, waiting: 0 }));
  const verdicts = await Promise.all(
    Array.from({ length: 100 }, (_, i) => authenticator.verify('alice', 'password', `192.0.2.${i}`)),
  );
  for (const verdict of verdicts) assert.deepEqual(verdict, right);
  assert.equal(compared.length, 1);
});

test('a hundred wrong ones at once count as one guess', async () => {
  const { authenticator, compared } = setup();
  const verdicts = await Promise.all(
    Array.from({ length: 100 }, () => authenticator.verify('alice', 'wrong', HOME)),
  );
  assert.equal(compared.length, 1);
  for (const [i, verdict] of verdicts.entries())
    assert.deepEqual(verdict, refused(i === 0 ? 'wrong' : 'wrong-again'));
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), right);
});

test('beyond the queue, attempts are refused as busy at once', async () => {
  const { authenticator, calls } = setupHeld(new FairQueue({ running: 1, waiting: 1 }));
  const first = authenticator.verify('alice', 'a', HOME);
  const second = authenticator.verify('alice', 'b', HOME);
  assert.deepEqual(await authenticator.verify('alice', 'c', HOME), refused('busy'));
  calls[0]?.answer(true);
  assert.deepEqual(await first, right);
  calls[1]?.answer(false);
  assert.deepEqual(await second, refused('wrong'));
});

test('a busy refusal counts as no failure and is not cached', async () => {
  const { authenticator, calls } = setupHeld(new FairQueue({ running: 1, waiting: 0 }));
  const first = authenticator.verify('alice', 'other', HOME);
  for (let i = 0; i < 20; i++) {
    assert.deepEqual(await authenticator.verify('alice', 'password', HOME), refused('busy'));
  }
  calls[0]?.answer(false);
  await first;
  const again = authenticator.verify('alice', 'password', HOME);
  calls[1]?.answer(true);
  assert.deepEqual(await again, right);
});

test('after five guesses the next is refused without a check, even the right one', async () => {
  const { authenticator, compared } = setup();
  for (let i = 0; i < 5; i++) {
    assert.deepEqual(await authenticator.verify('alice', `guess ${i}`, HOME), refused('wrong'));
  }
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), refused('back-off'));
  assert.equal(compared.length, 5);
});

test('an unknown name is held back in the same way', async () => {
  const { authenticator } = setup();
  for (let i = 0; i < 5; i++) await authenticator.verify('nobody', 'guess', `192.0.2.${i}`);
  for (let i = 0; i < 5; i++) await authenticator.verify('nobody', `guess ${i}`, `192.0.2.${i}`);
  assert.deepEqual(await authenticator.verify('nobody', 'password', '198.51.100.1'), refused('back-off'));
});

test('a burst of guesses gets no more checks than guesses in sequence', async () => {
  const { authenticator, compared } = setup([alice], new FairQueue({ running: 1, waiting: 64 }));
  const verdicts = await Promise.all(
    Array.from({ length: 50 }, (_, i) => authenticator.verify('alice', `guess ${i}`, HOME)),
  );
  assert.equal(compared.length, 5);
  assert.deepEqual(
    verdicts.map((verdict) => !verdict.ok && verdict.reason),
    Array.from({ length: 50 }, (_, i) => (i < 5 ? 'wrong' : 'back-off')),
  );
});

test('strangers who guess do not keep out an address that has logged in before', async () => {
  const { authenticator } = setup();
  await authenticator.verify('alice', 'password', HOME);
  for (let i = 0; i < 20; i++) await authenticator.verify('alice', `guess ${i}`, `198.51.100.${i}`);
  assert.deepEqual(await authenticator.verify('alice', 'password', '198.51.100.99'), refused('back-off'));
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), right);
});

test('an expired user is refused, and the reason is given only for the right password', async () => {
  const { authenticator, clock } = setup([{ ...alice, expires: '2027-01-31' }]);
  const identity = { ...right.identity, expires: Date.UTC(2027, 1, 1) };
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), { ok: true, identity });
  assert.deepEqual(await authenticator.identities?.(['alice', 'nobody']), [identity, undefined]);
  clock.time = Date.UTC(2027, 1, 1);
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), refused('expired'));
  assert.deepEqual(await authenticator.verify('alice', 'wrong', HOME), refused('wrong'));
  assert.deepEqual(await authenticator.identities?.(['alice']), [undefined]);
});

test('reload replaces the users and clears the answers', async () => {
  const { authenticator, reload, compared } = setup();
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), right);
  reload([{ ...alice, groups: ['admins'] }]);
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), {
    ok: true,
    identity: { user: 'alice', groups: ['admins'] },
  });
  assert.equal(compared.length, 2);
  reload([{ ...alice, hash: OTHER_COST }]);
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), refused('wrong'));
  reload([]);
  assert.deepEqual(await authenticator.identities?.(['alice']), [undefined]);
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), refused('wrong'));
});

test('reload keeps the counts of guesses', async () => {
  const { authenticator, reload } = setup();
  for (let i = 0; i < 5; i++) await authenticator.verify('alice', `guess ${i}`, HOME);
  reload([alice]);
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), refused('back-off'));
});

test('a user who is removed, or gets a new password, during the comparison is refused', async () => {
  for (const users of [[], [{ ...alice, hash: OTHER_COST }]]) {
    const { authenticator, reload, calls } = setupHeld();
    const verdict = authenticator.verify('alice', 'password', HOME);
    reload(users);
    calls[0]?.answer(true);
    assert.deepEqual(await verdict, refused('busy'));
  }
});

test('a comparison that fails rejects for all who wait, and is not cached', async () => {
  const { authenticator, calls } = setupHeld();
  const both = [
    authenticator.verify('alice', 'password', HOME),
    authenticator.verify('alice', 'password', HOME),
  ];
  calls[0]?.fail(new Error('broken'));
  for (const verdict of await Promise.allSettled(both)) assert.equal(verdict.status, 'rejected');
  const again = authenticator.verify('alice', 'password', HOME);
  calls[1]?.answer(true);
  assert.deepEqual(await again, right);
});

test('a user from the environment is kept as a hash only', async () => {
  const user = await plainUser('env', 'hunter2');
  assert(!inspect(user, { depth: null }).includes('hunter2'));
  const authenticator = new Authenticator(new LocalUsers([user]));
  assert.deepEqual(await authenticator.verify('env', 'hunter2', HOME), {
    ok: true,
    identity: { user: 'env', groups: [] },
  });
  assert.deepEqual(await authenticator.verify('env', 'hunter3', HOME), refused('wrong'));
  assert(!inspect(authenticator, { depth: null, showHidden: true }).includes('hunter2'));
});

test('the real thing: hashing leaves the event loop alone', async () => {
  const hash = await hashPassword('password');
  let turns = 0;
  const ticking = setInterval(() => turns++, 1);
  const authenticator = new Authenticator(new LocalUsers([{ ...alice, hash }]));
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), right);
  clearInterval(ticking);
  assert(turns > 0, 'no timer ran during the hash');
});

/** A back end that returns the given answers in turn. */
function saying(answers: readonly BackEndAnswer[]): PasswordBackEnd & { readonly asked: unknown[] } {
  const asked: unknown[] = [];
  return {
    concurrency: 1,
    asked,
    verify: async (name, password, { client }) => {
      asked.push([name, password, client]);
      return answers[asked.length - 1]!;
    },
  };
}

test('an unavailable back end counts as neither a guess nor a success, and is asked again', async () => {
  const answers: BackEndAnswer[] = [
    ...Array.from({ length: 10 }, () => 'unavailable' as const),
    right.identity,
  ];
  const backEnd = saying(answers);
  const backOff = new BackOff({ now: () => 0 });
  const authenticator = new Authenticator(backEnd, { backOff });
  for (let i = 0; i < 10; i++)
    assert.deepEqual(await authenticator.verify('alice', 'password', HOME), refused('busy'));
  assert.deepEqual(backOff.groups(HOME)[0], 'known -1', 'no success');
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), right);
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), right);
  assert.equal(backEnd.asked.length, 11);
  assert.deepEqual(backEnd.asked[0], ['alice', 'password', HOME]);
});

test('a back end that cannot identify users is not asked to', () => {
  assert.equal(new Authenticator(saying([])).identities, undefined);
});

test('an answer from before a change of the users is not cached', async () => {
  const { authenticator, reload, calls } = setupHeld();
  const before = authenticator.verify('alice', 'password', HOME);
  reload([alice]);
  const after = authenticator.verify('alice', 'password', HOME);
  calls[0]?.answer(false);
  assert.deepEqual(await before, refused('wrong'));
  calls[1]?.answer(true);
  assert.deepEqual(await after, right);
  assert.deepEqual(await authenticator.verify('alice', 'password', HOME), right);
  assert.equal(calls.length, 2);
});

test('an identity from before a change of the users is not used: the back end is asked again', async () => {
  const answers: ((answer: BackEndAnswer) => void)[] = [];
  const verify = (): Promise<BackEndAnswer> => new Promise((answer) => answers.push(answer));
  const authenticator = new Authenticator({ concurrency: 1, verify });
  const verdict = authenticator.verify('alice', 'password', HOME);
  authenticator.usersChanged();
  answers[0]!({ user: 'alice', groups: ['admins'] });
  while (answers.length < 2) await new Promise(setImmediate);
  answers[1]!({ user: 'alice', groups: ['staff'] });
  assert.deepEqual(await verdict, right);
});

test("closing aborts the back end's checks", async () => {
  const signals: AbortSignal[] = [];
  const backEnd: PasswordBackEnd = {
    concurrency: 1,
    verify: async (_name, _password, { signal }) => {
      signals.push(signal);
      return 'unavailable';
    },
  };
  const authenticator = new Authenticator(backEnd);
  await authenticator.verify('alice', 'password', HOME);
  assert.equal(signals[0]?.aborted, false);
  authenticator[Symbol.dispose]();
  assert.equal(signals[0]?.aborted, true);
});
