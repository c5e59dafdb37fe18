import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand } from '../support/garter.ts';
import { check, run, start, until } from '../support/process.ts';
import { connectThrough } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

const READY = /^garter listening on 127\.0\.0\.1:(\d+)$/m;

suite('run-as', () => {
  test('the process has no privileges of root left, and can still log, reload and save', async () => {
    await using echo = await startEcho();
    await using directory = await makeDirectory();
    // The folder belongs to the user, as with StateDirectory=.
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
    const { uid, gid } = await nobody();
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
        return /reloaded/.test(log) && /disconnect/.test(log);
      },
      () => 'not reloaded, or nothing recorded',
    );
    garter.signal('SIGTERM');
    assert.equal(await garter.ended(), 0);
    const state = join(directory.path, 'garter.state');
    assert.equal((await stat(state)).uid, uid);
    assert.match(await readFile(state, 'utf8'), /"rule-1":\{"":10\}/);
  });

  test('links that the user creates in the folder cannot redirect what root writes', async () => {
    await using directory = await makeDirectory();
    const { uid, gid } = await nobody();
    await chmod(directory.path, 0o755);
    const [theirs, ours] = [join(directory.path, 'theirs'), join(directory.path, 'ours')];
    await mkdir(theirs);
    await chown(theirs, uid, gid);
    await writeFile(ours, 'precious', { mode: 0o600 });
    for (const link of ['garter.state.new', 'link.log']) await symlink(ours, join(theirs, link));
    const config = join(directory.path, 'garter.yaml');
    const configure = (log: string): Promise<void> =>
      writeFile(
        config,
        `listen: [{ address: 127.0.0.1:0 }]
run-as: nobody
state: theirs/garter.state
log: { to: { file: theirs/${log} } }
`,
      );
    await configure('garter.log');
    await serveBriefly(config);
    await configure('link.log');
    const { code, stderr } = await run([garterCommand, 'serve', '--config', config]);
    assert.equal(code, 1);
    assert.match(stderr, /garter\.yaml:\d+:\d+: error: the user nobody cannot write \S+link\.log$/m);
    assert.equal(await readFile(ours, 'utf8'), 'precious');
    assert.equal((await stat(ours)).uid, 0);
    assert.equal((await stat(join(theirs, 'garter.state'))).uid, uid);
  });

  test('a unix socket belongs to the user, and is removed at the end', async () => {
    await using directory = await makeDirectory();
    const { uid, gid } = await nobody();
    await chown(directory.path, uid, gid);
    const config = join(directory.path, 'garter.yaml');
    await writeFile(config, 'listen: [{ address: unix:garter.sock }]\nrun-as: nobody\n');
    await using garter = await start([garterCommand, 'serve', '--config', config], {
      ready: /^garter listening on unix:(.+)$/m,
    });
    const path = garter.ready[1]!;
    const socket = await stat(path);
    assert.deepEqual([socket.uid, socket.gid, socket.mode & 0o777], [uid, gid, 0o660]);
    garter.signal('SIGTERM');
    assert.equal(await garter.ended(), 0);
    await assert.rejects(stat(path), { code: 'ENOENT' });
  });

  test('a configuration that the user cannot read causes a warning that reloads will fail', async () => {
    await using directory = await makeDirectory();
    const config = join(directory.path, 'garter.yaml');
    await chmod(directory.path, 0o755);
    await writeFile(config, 'listen: [{ address: 127.0.0.1:0 }]\nrun-as: nobody\n', { mode: 0o600 });
    const stderr = await serveBriefly(config);
    assert.match(
      stderr,
      /garter\.yaml:2:9: warning: the user nobody cannot read \S+garter\.yaml: reloads will fail$/m,
    );
  });

  for (const [name, lines, message] of [
    [
      'an unknown user',
      'run-as: no-such-user',
      /garter\.yaml:2:9: error: this machine has no user "no-such-user"$/m,
    ],
    [
      'a users file that the user cannot read',
      'run-as: nobody\nusers: { file: users.txt }',
      /garter\.yaml:3:16: error: the user nobody cannot read \S+users\.txt$/m,
    ],
    [
      'a state file that the user cannot replace',
      'run-as: nobody\nstate: garter.state',
      /garter\.yaml:3:8: error: the user nobody cannot write in /,
    ],
    [
      'a log in a folder that belongs to root',
      'run-as: nobody\nlog: { to: { file: garter.log } }',
      /garter\.yaml:3:20: error: the user nobody cannot write in /,
    ],
  ] as const) {
    test(`${name} is reported at the start`, async () => {
      await using directory = await makeDirectory();
      const config = join(directory.path, 'garter.yaml');
      await chmod(directory.path, 0o755);
      await writeFile(join(directory.path, 'users.txt'), '', { mode: 0o600 });
      await writeFile(config, `listen: [{ address: 127.0.0.1:0 }]\n${lines}\n`);
      const { code, stderr, stdout } = await run([garterCommand, 'serve', '--config', config]);
      assert.match(stderr, message);
      assert.equal(code, 1);
      assert.equal(stdout, '');
      assert.doesNotMatch(stderr, /ports? below/);
    });
  }
});

test('a reserved port, without the right to it', async () => {
  await using directory = await makeDirectory();
  const config = join(directory.path, 'garter.yaml');
  await writeFile(config, 'listen: 127.0.0.1:80\n');
  const without = ['setpriv', '--bounding-set=-net_bind_service', '--inh-caps=-net_bind_service'];
  const place = String.raw`garter\.yaml:1:9: %: the user \w+ cannot listen on port 80, which is reserved$`;
  const checked = await run([...without, garterCommand, 'check', config]);
  assert.match(checked.stderr, new RegExp(place.replace('%', 'warning'), 'm'));
  assert.equal(checked.code, 0);
  const served = await run([...without, garterCommand, 'serve', '--config', config]);
  assert.match(served.stderr, new RegExp(place.replace('%', 'error'), 'm'));
  assert.equal(served.code, 1);
});

test('files that the user of run-as cannot read again are found by check', async () => {
  await using directory = await makeDirectory();
  await chmod(directory.path, 0o755);
  const config = join(directory.path, 'garter.yaml');
  await writeFile(join(directory.path, 'alice.password'), 'hunter2', { mode: 0o600 });
  await writeFile(config, 'run-as: nobody\nusers: { name: alice, password: { file: alice.password } }\n', {
    mode: 0o644,
  });
  const { code, stderr } = await run([garterCommand, 'check', config]);
  assert.match(
    stderr,
    /garter\.yaml:2:\d+: warning: the user nobody cannot read \S+alice\.password: reloads will fail$/m,
  );
  assert.equal(code, 0);
});

async function nobody(): Promise<{ readonly uid: number; readonly gid: number }> {
  const [uid, gid] = [await check(['id', '-u', 'nobody']), await check(['id', '-g', 'nobody'])];
  return { uid: Number(uid), gid: Number(gid) };
}

/** Starts and stops garter; returns its standard error. */
async function serveBriefly(config: string): Promise<string> {
  await using garter = await start([garterCommand, 'serve', '--config', config], { ready: READY });
  garter.signal('SIGTERM');
  assert.equal(await garter.ended(), 0);
  return garter.stderr();
}
