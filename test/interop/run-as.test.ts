import assert from 'node:assert/strict';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand } from '../support/garter.ts';
import { check, run, start, until } from '../support/process.ts';
import { connectThrough } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

const READY = /^garter listening on 127\.0\.0\.1:(\d+)$/m;

suite('run-as', () => {
  test('the process has nothing of root left, and goes on to log, reload and save', async () => {
    await using echo = await startEcho();
    await using directory = await makeDirectory();
    // The folder is the user's, as StateDirectory= would make it.
    await check(['chown', 'nobody', directory.path]);
    const config = join(directory.path, 'garter.yaml');
    await writeFile(
      config,
      `listen: [{ address: 127.0.0.1:0 }]
run-as: nobody
state: garter.state
log: { to: { file: garter.log } }
rules: [{ allow: any, to: [loopback], limit: { quota-per-user: 1GB/day } }]
`,
    );
    await using garter = await start([garterCommand, 'serve', '--config', config], { ready: READY });
    const status = await readFile(`/proc/${garter.pid}/status`, 'utf8');
    const [uid, gid] = [await check(['id', '-u', 'nobody']), await check(['id', '-g', 'nobody'])].map((id) =>
      id.trim(),
    );
    assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}$`, 'm'));
    assert.match(status, new RegExp(`^Gid:\\t${gid}\\t${gid}\\t${gid}\\t${gid}$`, 'm'));
    assert.match(status, new RegExp(`^Groups:\\t${gid} $`, 'm'));
    assert.match(status, /^CapEff:\t0+$/m);
    using client = await connectThrough({ host: '127.0.0.1', port: Number(garter.ready[1]) }, echo);
    client.send(Buffer.from('hello'));
    await client.expect(Buffer.from('hello'));
    garter.signal('SIGHUP');
    client.end();
    await until(
      async () => {
        const log = await readFile(join(directory.path, 'garter.log'), 'utf8');
        return /reloaded/.test(log) && /disconnect/.test(log) ? true : undefined;
      },
      () => 'not reloaded, or nothing recorded',
    );
    garter.signal('SIGTERM');
    assert.equal(await garter.ended(), 0);
    const state = join(directory.path, 'garter.state');
    assert.equal(String((await stat(state)).uid), uid);
    assert.match(await readFile(state, 'utf8'), /"rule-1":\{"":10\}/);
  });

  for (const [name, lines, message] of [
    ['a user who does not exist', 'run-as: no-such-user', /no user "no-such-user"/],
    [
      'a users file that the user may not read',
      'run-as: nobody\nusers: { file: users.txt }',
      /nobody may not read .*users\.txt/,
    ],
    [
      'a state file that the user could not replace',
      'run-as: nobody\nstate: garter.state',
      /nobody may not write into the folder/,
    ],
  ] as const) {
    test(`${name} is told at the start`, async () => {
      await using directory = await makeDirectory();
      const config = join(directory.path, 'garter.yaml');
      await chmod(directory.path, 0o755);
      await writeFile(join(directory.path, 'users.txt'), '', { mode: 0o600 });
      await writeFile(config, `listen: [{ address: 127.0.0.1:0 }]\n${lines}\n`);
      const { code, stderr, stdout } = await run([garterCommand, 'serve', '--config', config]);
      assert.match(stderr, message);
      assert.equal(code, 1);
      assert.equal(stdout, '');
    });
  }
});
