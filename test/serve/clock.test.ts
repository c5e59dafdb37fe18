import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, mock, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createServer, type Server } from '../../src/server.ts';
import { hashPassword } from '../../src/auth/argon2.ts';
import { makeDirectory, type Directory } from '../support/directory.ts';
import { until } from '../support/process.ts';
import { Command, connectThrough, RawClient, request5 } from '../support/raw.ts';
import { startEcho, type Target } from '../support/targets.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** On a Monday. */
const NOON = Date.UTC(2026, 10, 23, 12);

/** A server whose wall clock is controlled by the test, and its log. */
interface Clocked extends AsyncDisposable {
  readonly proxy: { readonly host: string; readonly port: number };
  readonly server: Server;
  readonly log: () => Promise<string>;
}

async function serve(directory: Directory, config: object): Promise<Clocked> {
  const file = join(directory.path, 'garter.log');
  const server = await createServer({
    listen: [{ address: '127.0.0.1:0' }],
    log: { to: { file } },
    ...config,
  });
  return {
    proxy: server.addresses[0]!,
    server,
    log: () => readFile(file, 'utf8'),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

/** Moves the wall clock, and lets garter notice: its intervals are a hundredth of the usual ones here. */
async function move(time: number): Promise<void> {
  mock.timers.setTime(Date.now() + time);
  await delay(400);
}

async function alive(client: RawClient): Promise<void> {
  client.send(Buffer.from('x'));
  await client.expect(Buffer.from('x'));
}

async function login(proxy: Clocked['proxy'], name: string, target: Target): Promise<RawClient> {
  const client = await RawClient.connect(proxy);
  const user = Buffer.from(name);
  client.send('05 01 02', Buffer.of(1, user.length), user, Buffer.of(6), Buffer.from('secret'));
  client.send(request5(Command.connect, target.host, target.port));
  await client.expect('05 02  01 00  05 00 00');
  await client.read(7);
  return client;
}

suite('the clock', () => {
  beforeEach(() => {
    mock.timers.enable({ apis: ['Date'], now: NOON });
    const { setInterval: real } = globalThis;
    const quick = (run: () => void, interval: number): NodeJS.Timeout =>
      real(run, interval >= 1000 ? interval / 100 : interval);
    mock.method(globalThis, 'setInterval', quick);
  });
  afterEach(() => {
    mock.timers.reset();
    mock.restoreAll();
  });

  test('when a window closes, its sessions end, and new ones are refused', async () => {
    await using echo = await startEcho();
    await using directory = await makeDirectory();
    await using clocked = await serve(directory, office('close'));
    using client = await connectThrough(clocked.proxy, echo);
    await move(6 * HOUR - MINUTE);
    await alive(client);
    await move(MINUTE);
    await client.gone();
    await assert.rejects(connectThrough(clocked.proxy, echo));
    await until(
      async () => /end=policy:relay:revoked/.test(await clocked.log()),
      () => 'no record',
    );
  });

  test('revoke: keep lets them finish', async () => {
    await using echo = await startEcho();
    await using directory = await makeDirectory();
    await using clocked = await serve(directory, office('keep'));
    using client = await connectThrough(clocked.proxy, echo);
    await move(7 * HOUR);
    await alive(client);
    await assert.rejects(connectThrough(clocked.proxy, echo));
  });

  test("a user's last day ends the sessions of that user only", async () => {
    await using echo = await startEcho();
    await using directory = await makeDirectory();
    const users = join(directory.path, 'users.txt');
    const hash = await hashPassword('secret');
    await writeFile(users, `alice:${hash}::expires=2026-11-23\nbob:${hash}\n`, { mode: 0o600 });
    await using clocked = await serve(directory, {
      users: { file: users },
      rules: [{ allow: 'any', to: ['loopback'] }],
    });
    using alice = await login(clocked.proxy, 'alice', echo);
    using bob = await login(clocked.proxy, 'bob', echo);
    await move(12 * HOUR - MINUTE);
    await alive(alice);
    await move(MINUTE);
    await alice.gone();
    await alive(bob);
    using again = await RawClient.connect(clocked.proxy);
    again.send('05 01 02', '01 05', Buffer.from('alice'), '06', Buffer.from('secret'));
    await again.expect('05 02  01 01');
    await until(
      async () => /login-failed .*reason=expired user=alice/.test(await clocked.log()),
      () => 'the failed login is not in the log',
    );
  });

  for (const jump of [HOUR, -HOUR]) {
    test(`a clock that jumps by ${jump / MINUTE} minutes ends no session, and restores no limit`, async () => {
      await using echo = await startEcho();
      await using directory = await makeDirectory();
      await using clocked = await serve(directory, {
        state: join(directory.path, 'garter.state'),
        timeouts: { idle: '20m', handshake: '20m' },
        rules: [
          {
            allow: 'any',
            to: ['loopback'],
            limit: { rate: '3/h', duration: '50m', 'quota-per-user': '1MB/day' },
          },
        ],
      });
      using open = await connectThrough(clocked.proxy, echo);
      using slow = await RawClient.connect(clocked.proxy);
      slow.send('05 01');
      const bulk = await connectThrough(clocked.proxy, echo);
      bulk.send(Buffer.alloc(600_000));
      await until(
        async () => (await clocked.server.sessions()).length === 1,
        () => 'the quota was not exceeded',
      );
      await move(jump);
      // No time-out of the handshake, for idleness or for the duration: their clocks do not jump.
      slow.send('00');
      await slow.expect('05 00');
      // The quota is still used up.
      await assert.rejects(alive(open), 'the quota is of this user too');
      await assert.rejects(connectThrough(clocked.proxy, echo));
      assert.match(await clocked.log(), /end=limit:relay:quota-per-user/);
      assert.doesNotMatch(await clocked.log(), /end=(timeout|limit:relay:duration)/);
    });
  }

  test('midnight restores quotas, but not a second time after the clock is set back', async () => {
    await using echo = await startEcho();
    await using directory = await makeDirectory();
    await using clocked = await serve(directory, {
      state: join(directory.path, 'garter.state'),
      rules: [{ allow: 'any', to: ['loopback'], limit: { 'quota-per-user': '100kB/day' } }],
    });
    const useUp = async (): Promise<void> => {
      using client = await connectThrough(clocked.proxy, echo);
      client.send(Buffer.alloc(200_000));
      await until(
        async () => (await clocked.server.sessions()).length === 0,
        () => 'not used up',
      );
    };
    await useUp();
    await assert.rejects(connectThrough(clocked.proxy, echo));
    await move(12 * HOUR + MINUTE);
    await useUp();
    await assert.rejects(connectThrough(clocked.proxy, echo));
    await move(-HOUR);
    await assert.rejects(connectThrough(clocked.proxy, echo));
  });
});

/** Rules that apply from 8 to 18. */
function office(revoke: string): object {
  return {
    rules: [
      {
        allow: 'any',
        to: ['loopback'],
        when: { days: 'mon-fri', hours: '08:00-18:00', zone: 'UTC' },
        revoke,
      },
    ],
  };
}
