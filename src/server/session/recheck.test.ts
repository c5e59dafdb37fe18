import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Authentication, Identity } from '../../auth/identity.ts';
import type { Connection } from '../../net/engine.ts';
import type { Method } from '../../policy/policy.ts';
import type { Failure } from '../failure.ts';
import type { OpenListener } from '../listen/listeners.ts';
import { recheckByClock, recheckUsers } from './recheck.ts';
import { Session } from './session.ts';
import type { ServerState } from './state.ts';

const identity = (user: string, rest: Partial<Identity> = {}): Identity => ({ user, groups: [], ...rest });

/** A session before its request, which only its user's state can end. */
class Scene {
  readonly sessions: Session[] = [];
  readonly ended: string[] = [];
  readonly errors: unknown[] = [];

  /** `null`: identified by a certificate, before its greeting. */
  open(name: string, who: Identity | undefined, method: Method | null = 'password'): void {
    const at = { host: '192.0.2.1', port: 1 };
    const destroy = (): void => void this.ended.push(`${name}:${session.failure?.detail}`);
    const connection = { local: at, remote: at, destroy } as unknown as Connection;
    const session = new Session('1', connection, { settings: {}, place: '' } as unknown as OpenListener);
    if (method !== null) session.usesMethod(method);
    if (who !== undefined) session.identifiedAs(who);
    session.enters('accept');
    this.sessions.push(session);
  }

  state(authenticator: Authentication | undefined): ServerState {
    const log = { error: (_: string, fields: unknown): void => void this.errors.push(fields) };
    return {
      sessions: Object.assign(this.sessions, {
        stop: (reason: (session: Session) => Failure | undefined) => {
          for (const session of this.sessions) {
            const failure = reason(session);
            if (failure !== undefined) session.stop(failure);
          }
        },
      }),
      authenticator,
      log,
      decisions: 0,
      policy: { timed: false },
    } as unknown as ServerState;
  }
}

function knowing(users: readonly Identity[]): Authentication & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    verify: () => assert.fail('no password is asked for'),
    identities: async (names) => {
      asked.push(...names);
      return names.map((name) => users.find(({ user }) => user === name));
    },
  };
}

suite('users are checked again', () => {
  test('each user is looked up once; removed users lose all sessions, the others get their new groups', async () => {
    const scene = new Scene();
    for (const name of ['a1', 'a2']) scene.open(name, identity('alice'));
    for (const name of ['b1', 'b2']) scene.open(name, identity('bob'));
    scene.open('nobody', undefined);
    const authenticator = knowing([identity('bob', { groups: ['staff'] })]);
    await recheckUsers(scene.state(authenticator));
    assert.deepEqual(authenticator.asked, ['alice', 'bob']);
    assert.deepEqual(scene.ended, ['a1:user-gone', 'a2:user-gone']);
    assert.deepEqual(
      scene.sessions.map((session) => session.identity?.groups),
      [[], [], ['staff'], ['staff'], undefined],
    );
  });

  test('users who log in meanwhile are not looked up again', async () => {
    const scene = new Scene();
    scene.open('a', identity('alice'));
    const newcomer = identity('bob', { groups: ['new'] });
    const authenticator: Authentication = {
      verify: () => assert.fail(),
      identities: async () => {
        scene.open('b', newcomer);
        scene.open('a2', newcomer);
        return [undefined];
      },
    };
    await recheckUsers(scene.state(authenticator));
    assert.deepEqual(scene.ended, ['a:user-gone']);
    assert.equal(scene.sessions[1]!.identity, newcomer);
  });

  for (const [what, authenticator, ended] of [
    ['no users are left', undefined, ['p:user-gone']],
    ['the back end cannot identify users', { verify: () => assert.fail() }, []],
    ['all are removed', knowing([]), ['p:user-gone', 'c:user-gone', 't:user-gone']],
  ] as const) {
    test(`${what}: sessions by password, by certificate, and before the greeting`, async () => {
      const scene = new Scene();
      scene.open('p', identity('alice'));
      scene.open('c', identity('bob'), 'certificate');
      scene.open('t', identity('carol'), null);
      await recheckUsers(scene.state(authenticator));
      assert.deepEqual(scene.ended, ended);
    });
  }

  test('when the look-up fails, all sessions stay except those of expired users', async () => {
    const scene = new Scene();
    scene.open('a', identity('alice'));
    scene.open('b', identity('bob', { expires: 1 }));
    await recheckUsers(
      scene.state({
        verify: () => assert.fail(),
        identities: () => Promise.reject(new Error('the directory is down')),
      }),
    );
    assert.deepEqual(scene.ended, ['b:user-gone']);
    assert.deepEqual(scene.errors, [{ error: 'the directory is down' }]);
  });
});

test('the clock ends the sessions of expired users without a look-up', () => {
  const scene = new Scene();
  scene.open('a', identity('alice', { expires: Date.now() - 1 }));
  scene.open('b', identity('bob', { expires: Date.now() + 60_000 }));
  scene.open('c', identity('carol'));
  const authenticator = knowing([]);
  const state = scene.state(authenticator);
  recheckByClock(state);
  assert.deepEqual([scene.ended, authenticator.asked, state.decisions], [['a:user-gone'], [], 1]);
  const idle = new Scene();
  idle.open('c', identity('carol'));
  const idleState = idle.state(authenticator);
  recheckByClock(idleState);
  assert.equal(idleState.decisions, 0, 'there is nothing that time could change');
});
