import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand } from '../support/garter.ts';
import { check, start, until } from '../support/process.ts';
import { RawClient } from '../support/raw.ts';

const FILTER = join(import.meta.dirname, '../../contrib/fail2ban/garter.conf');
/** A user name that imitates a failed login from another address, in text and in JSON. */
const FORGED = 'x user=y\nlogin failed client=198.51.100.1 user=","client":"198.51.100.2","user":"';

/** The addresses that fail2ban would ban, in the order of the lines. */
async function banned(file: string): Promise<string[]> {
  const out = await check(['fail2ban-regex', '--verbose', file, FILTER]);
  return [...out.matchAll(/^\| {6}(\S+) {2}/gm)].map(([, address]) => address!);
}

suite('fail2ban-regex finds failed logins, and cannot be misled by clients', () => {
  for (const format of ['text', 'json']) {
    test(`in the ${format} log of garter`, async () => {
      await using directory = await makeDirectory();
      const config = join(directory.path, 'garter.yaml');
      const log = join(directory.path, 'garter.log');
      await writeFile(
        config,
        `listen: [{ address: 127.0.0.1:0, methods: [password] }]
users: { name: alice, password: "\${ALICE}" }
log: { format: ${format}, to: { file: garter.log } }
`,
      );
      await using garter = await start([garterCommand, 'serve', '--config', config], {
        ready: /listening on 127\.0\.0\.1:(\d+)/,
        env: { ALICE: 'correct horse' },
      });
      const proxy = { host: '127.0.0.1', port: Number(garter.ready[1]) };
      const logins: readonly (readonly [from: string, name: string, password: string, ok: number])[] = [
        ['127.0.0.2', 'alice', 'wrong', 1],
        ['127.0.0.3', 'alice', 'correct horse', 0],
        ['127.0.0.4', FORGED, 'wrong', 1],
      ];
      for (const [from, name, password, verdict] of logins) {
        using client = await RawClient.connect(proxy, from);
        const [user, secret] = [Buffer.from(name), Buffer.from(password)];
        client.send('05 01 02', Buffer.of(1, user.length), user, Buffer.of(secret.length), secret);
        await client.expect(Buffer.of(5, 2, 1, verdict));
      }
      garter.signal('SIGTERM');
      await garter.ended();
      await until(
        async () => (await banned(log)).length >= 2,
        () => 'too few',
      );
      assert.deepEqual(await banned(log), ['127.0.0.2', '127.0.0.4']);
    });
  }

  test('in the output of a syslog daemon', async () => {
    await using directory = await makeDirectory();
    const file = join(directory.path, 'syslog');
    const failed =
      '"level":"warn","event":"login failed","client":"203.0.113.4","user":"a","reason":"wrong"}';
    await writeFile(
      file,
      `Nov 21 10:15:02 box garter[99]: login failed client=203.0.113.1 user=alice reason=wrong
2026-11-21T10:15:02.007+00:00 box garter[99]: login failed client=2001:db8::2 user=alice reason=wrong
2026-11-21T10:15:02.007+00:00 box garter: {"time":"2026-11-21T10:15:02.007Z",${failed}
2026-11-21T10:15:02.007+00:00 box garter: disconnect client=203.0.113.9:1 user="login failed client=203.0.113.9 user="
2026-11-21T10:15:02.007+00:00 box other: login failed client=203.0.113.9 user=alice
`,
    );
    assert.deepEqual(await banned(file), ['203.0.113.1', '2001:db8::2', '203.0.113.4']);
  });
});
