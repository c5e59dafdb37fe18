import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { inspect } from 'node:util';
import { backEnds } from '../../../test/support/back-ends.ts';
import type { Account, OpenBackEnd } from '../../../test/support/back-ends.ts';
import { Authenticator } from '../authenticator.ts';
import type { Attempt } from '../back-end.ts';

const ACCOUNTS: readonly Account[] = [
  { name: 'alice', password: 'right-a', groups: ['staff', 'night'] },
  { name: 'bob', password: 'pässwörd ☂', groups: [], expires: '2027-01-31' },
  { name: 'carol', password: 'right-c', groups: ['staff'], disabled: true },
  { name: 'x'.repeat(255), password: 'y'.repeat(255), groups: ['staff'] },
];
const ALICE = { user: 'alice', groups: ['staff', 'night'] };
const BOB = { user: 'bob', groups: [], expires: Date.UTC(2027, 1, 1) };
const HOME = '192.0.2.1';

const attempt = (signal = new AbortController().signal): Attempt => ({ client: HOME, signal });

/** Logins that must fail. */
const WRONG: readonly (readonly [name: string, password: string])[] = [
  ['alice', 'wrong'],
  ['alice', ''],
  ['alice', 'right-'],
  ['alice', 'right-a '],
  ['alice', 'Right-a'],
  ['alice', 'right-a\0'],
  ['alice', 'pässwörd ☂'],
  ['bob', 'pa\u{308}sswo\u{308}rd ☂'],
  ['Alice', 'right-a'],
  ['alice ', 'right-a'],
  ['alice\0', 'right-a'],
  ['alice\n', 'right-a'],
  ['@staff', 'right-a'],
  ['nobody', 'right-a'],
  ['', ''],
  ['', 'right-a'],
  ['*', '*'],
  ['__proto__', 'right-a'],
  ['x'.repeat(254), 'y'.repeat(255)],
  ['x'.repeat(255), 'y'.repeat(254)],
  ['å'.repeat(127), 'right-a'],
];

function authenticatorOf({ backEnd }: OpenBackEnd, time = Date.UTC(2027, 0, 1)): Authenticator {
  return new Authenticator(backEnd, { now: () => time });
}

for (const { name: kind, open } of backEnds) {
  const opened = (): Promise<OpenBackEnd> => open(ACCOUNTS);

  suite(`${kind}: a back end that checks passwords`, () => {
    test('the right password returns the identity, with groups and expiry', async () => {
      await using scene = await opened();
      assert.deepEqual(await scene.backEnd.verify('alice', 'right-a', attempt()), ALICE);
      assert.deepEqual(await scene.backEnd.verify('bob', 'pässwörd ☂', attempt()), BOB);
      const long = await scene.backEnd.verify('x'.repeat(255), 'y'.repeat(255), attempt());
      assert.deepEqual(long, { user: 'x'.repeat(255), groups: ['staff'] });
    });

    test('any other login is wrong, and causes no error', async () => {
      await using scene = await opened();
      for (const [name, password] of WRONG)
        assert.equal(
          await scene.backEnd.verify(name, password, attempt()),
          'wrong',
          JSON.stringify([name, password]),
        );
      assert.deepEqual(await scene.backEnd.verify('alice', 'right-a', attempt()), ALICE);
    });

    test('concurrent checks get their own answers', async () => {
      await using scene = await opened();
      const asked = [
        ['alice', 'right-a', ALICE],
        ['alice', 'wrong', 'wrong'],
        ['bob', 'pässwörd ☂', BOB],
        ['nobody', 'right-a', 'wrong'],
      ] as const;
      const answers = asked.map(([name, password]) => scene.backEnd.verify(name, password, attempt()));
      assert.deepEqual(
        await Promise.all(answers),
        asked.map(([, , answer]) => answer),
      );
    });

    test('an aborted check accepts no one', async () => {
      await using scene = await opened();
      const answer = await scene.backEnd.verify('alice', 'right-a', attempt(AbortSignal.abort()));
      assert.equal(answer, 'unavailable');
    });

    test('without the password it returns the same identity, if it can identify users', async () => {
      await using scene = await opened();
      if (scene.backEnd.identify === undefined) return;
      assert.deepEqual(await scene.backEnd.identify('alice'), ALICE);
      assert.deepEqual(await scene.backEnd.identify('bob'), BOB);
      for (const name of ['nobody', '', 'Alice', '__proto__', 'alice\0'])
        assert.equal(await scene.backEnd.identify(name), undefined, name);
    });

    test('it runs checks, and measures the longest where they differ', async () => {
      await using scene = await opened();
      assert.ok(scene.backEnd.concurrency >= 1);
      await scene.backEnd.timing?.measure();
      const longest = scene.backEnd.timing?.longest;
      assert.ok(longest === undefined || longest >= 0);
    });

    test('it keeps no password', async () => {
      await using scene = await opened();
      await scene.backEnd.verify('alice', 'right-a', attempt());
      await scene.backEnd.verify('alice', 'hunter2', attempt());
      const kept = inspect(scene.backEnd, { depth: null, showHidden: true });
      for (const password of ['right-a', 'hunter2']) assert.ok(!kept.includes(password));
    });
  });

  suite(`${kind}: behind an authenticator`, () => {
    test('after five guesses the next is refused without a check, except from an address that is known for the user', async () => {
      await using scene = await opened();
      using authenticator = authenticatorOf(scene);
      assert.equal((await authenticator.verify('alice', 'right-a', '198.51.100.1')).ok, true);
      const reasons: unknown[] = [];
      for (let i = 0; i < 6; i++) {
        const verdict = await authenticator.verify('alice', `guess ${i}`, HOME);
        reasons.push(verdict.ok || verdict.reason);
      }
      assert.deepEqual(reasons, [...Array.from({ length: 5 }, () => 'wrong'), 'back-off']);
      assert.equal((await authenticator.verify('alice', 'right-a', '198.51.100.1')).ok, true);
    });

    test('a repeated attempt, right or wrong, asks the back end once', async () => {
      await using scene = await opened();
      let asked = 0;
      const { backEnd } = scene;
      using authenticator = new Authenticator({
        concurrency: backEnd.concurrency,
        verify: (...login) => {
          asked++;
          return backEnd.verify(...login);
        },
      });
      for (const password of ['right-a', 'wrong'])
        await Promise.all(Array.from({ length: 20 }, () => authenticator.verify('alice', password, HOME)));
      await authenticator.verify('alice', 'right-a', '198.51.100.1');
      assert.equal(asked, 2);
    });

    test('a disabled user is refused, and the reason is given only for the right password', async () => {
      await using scene = await opened();
      using authenticator = authenticatorOf(scene);
      for (const [password, reason] of [
        ['right-c', 'disabled'],
        ['right-c', 'disabled'],
        ['wrong', 'wrong'],
      ] as const)
        assert.deepEqual(await authenticator.verify('carol', password, HOME), { ok: false, reason });
      const identities = await authenticator.identities?.(['carol', 'alice']);
      assert.ok(identities === undefined || identities[0] === undefined, 'open sessions end');
    });

    test('an expired user is refused, and the reason is given only for the right password', async () => {
      await using scene = await opened();
      for (const [time, right] of [
        [BOB.expires - 1, { ok: true, identity: BOB }],
        [BOB.expires, { ok: false, reason: 'expired' }],
      ] as const) {
        using authenticator = authenticatorOf(scene, time);
        assert.deepEqual(await authenticator.verify('bob', 'pässwörd ☂', HOME), right);
        assert.deepEqual(await authenticator.verify('bob', 'guess', HOME), { ok: false, reason: 'wrong' });
        if (authenticator.identities === undefined) continue;
        const identities = await authenticator.identities(['bob', 'alice', 'nobody']);
        assert.deepEqual(identities, [right.ok ? BOB : undefined, ALICE, undefined]);
      }
    });
  });
}
