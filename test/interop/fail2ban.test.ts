import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { hashPassword } from '../../src/auth/argon2.ts';
import { setUser } from '../../src/auth/users-file.ts';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand } from '../support/garter.ts';
import { check, start } from '../support/process.ts';
import { RawClient } from '../support/raw.ts';

const FILTER = join(import.meta.dirname, '../../contrib/fail2ban/garter.conf');
/** A name that tries to look like the failed login of somebody else, in text and in JSON. */
const FORGED =
  'x user=y\nlogin-failed id=1-1 client=198.51.100.1:1 reason=wrong user=","client":"198.51.100.2:1","reason":"wrong","user":"';

/** Logins in this order, and why they fail; `undefined`: they do not. */
const LOGINS: readonly (readonly [from: string, name: string, password: string, reason?: string])[] = [
  ['127.0.0.2', 'alice', 'wrong', 'wrong'],
  ['127.0.0.3', 'alice', 'correct horse'],
  // A program that repeats one wrong password.
  ['127.0.0.2', 'alice', 'wrong', 'wrong-again'],
  ['127.0.0.2', 'alice', 'wrong', 'wrong-again'],
  ['127.0.0.4', FORGED, 'wrong', 'wrong'],
  ['127.0.0.5', 'past', 'correct horse', 'expired'],
  // Somebody who guesses, until that is slowed down.
  ...['1', '2', '3', '4', '5'].map((guess) => ['127.0.0.6', 'bob', guess, 'wrong'] as const),
  ['127.0.0.6', 'bob', '6', 'back-off'],
];

function line(client: string, reason = 'wrong'): string {
  return `login-failed id=6740a5b2-0-17 client=${client} reason=${reason} user=alice`;
}

/** The addresses that fail2ban would ban, in the order of the lines. */
async function banned(file: string): Promise<string[]> {
  const out = await check(['fail2ban-regex', '--verbose', file, FILTER]);
  return [...out.matchAll(/^\| {6}(\S+) {2}/gm)].map(([, address]) => address!);
}

suite('fail2ban-regex counts what back-off counts, and nothing that a client makes up', () => {
  for (const format of ['text', 'json']) {
    test(`in the ${format} log of garter`, async () => {
      await using directory = await makeDirectory();
      const config = join(directory.path, 'garter.yaml');
      const log = join(directory.path, 'garter.log');
      await writeFile(
        config,
        `listen: [{ address: 127.0.0.1:0, methods: [password] }]
users: { file: users.txt }
workers: 1
log: { format: ${format}, to: { file: garter.log } }
`,
      );
      const hash = await hashPassword('correct horse');
      const users = [
        { name: 'alice', hash, groups: [] },
        { name: 'past', hash, groups: [], expires: '2020-01-31' },
      ];
      await writeFile(join(directory.path, 'users.txt'), users.reduce(setUser, ''), { mode: 0o600 });
      await using garter = await start([garterCommand, 'serve', '--config', config], {
        ready: /listening on 127\.0\.0\.1:(\d+)/,
      });
      const proxy = { host: '127.0.0.1', port: Number(garter.ready[1]) };
      for (const [from, name, password, reason] of LOGINS) {
        using client = await RawClient.connect(proxy, from);
        const [user, secret] = [Buffer.from(name), Buffer.from(password)];
        client.send('05 01 02', Buffer.of(1, user.length), user, Buffer.of(secret.length), secret);
        await client.expect(Buffer.of(5, 2, 1, reason === undefined ? 0 : 1));
      }
      garter.signal('SIGTERM');
      await garter.ended();
      const lines = await readFile(log, 'utf8');
      assert.deepEqual(
        Array.from(lines.matchAll(/\bend"?[=:]"?policy:auth:([a-z-]+)/g), ([, reason]) => reason),
        LOGINS.flatMap(([, , , reason]) => reason ?? []),
      );
      const guessers = LOGINS.filter(([, , , reason]) => reason === 'wrong').map(([from]) => from);
      assert.deepEqual(await banned(log), guessers);
    });
  }

  test('in the output of a syslog daemon', async () => {
    await using directory = await makeDirectory();
    const file = join(directory.path, 'syslog');
    const json =
      '"level":"warn","event":"login-failed","message":"login failed","id":"1-1","client":"203.0.113.4:5","reason":"wrong","user":"a"}';
    await writeFile(
      file,
      `Nov 21 10:15:02 box garter[99]: ${line('203.0.113.1:40112')}
2026-11-21T10:15:02.007+00:00 box garter[99]: ${line('[2001:db8::2]:40112')}
2026-11-21T10:15:02.007+00:00 box garter[99]: ${line('[fe80::2%eth0]:40112')}
2026-11-21T10:15:02.007+00:00 box garter: {"time":"2026-11-21T10:15:02.007Z",${json}
2026-11-21T10:15:02.007+00:00 box garter[99]: ${line('203.0.113.8:1', 'wrong-again')}
2026-11-21T10:15:02.007+00:00 box garter[99]: ${line('203.0.113.8:1', 'busy')}
2026-11-21T10:15:02.007+00:00 box garter[99]: ${line('unix')}
2026-11-21T10:15:02.007+00:00 box garter: disconnect id=1-1 client=203.0.113.9:1 user="${line('203.0.113.9:1')}"
2026-11-21T10:15:02.007+00:00 box other: ${line('203.0.113.9:1')}
`,
    );
    assert.deepEqual(await banned(file), ['203.0.113.1', '2001:db8::2', 'fe80::2', '203.0.113.4']);
  });
});
