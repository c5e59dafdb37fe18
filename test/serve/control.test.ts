import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand, startGarter, OPEN } from '../support/garter.ts';
import type { Garter } from '../support/garter.ts';
import type { Status } from '../../src/admin/status.ts';
import type { ConnectionRecord } from '../../src/audit/record.ts';
import { ask, command, garterRun, socketOf, startControlled } from '../support/control.ts';
import { run, until } from '../support/process.ts';
import { Command, connectThrough, RawClient, readAddress, request5 } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';
import type { Target } from '../support/targets.ts';
import type { Outcome } from '../support/process.ts';

const configOf = (garter: Garter): string => join(garter.directory, 'garter.yaml');

/** Connects with the password `secret`. */
async function connectAs(user: string, garter: Garter, to: Target): Promise<RawClient> {
  const client = await RawClient.connect(garter);
  client.send('05 01 02', Buffer.of(1, user.length), Buffer.from(user), '06', Buffer.from('secret'));
  client.send(request5(Command.connect, to.host, to.port));
  await client.expect('05 02  01 00  05 00 00');
  await readAddress(client);
  return client;
}

async function change(garter: Garter, edit: (text: string) => string): Promise<void> {
  await writeFile(configOf(garter), edit(await readFile(configOf(garter), 'utf8')));
}

for (const workers of [1, 2]) {
  suite(`with ${workers} workers`, () => {
    const config = `workers: ${workers}\n${OPEN}`;

    test('reload waits for the outcome, and a faulty file changes nothing', async () => {
      await using garter = await startControlled({ config });
      const before = await readFile(configOf(garter), 'utf8');
      await change(garter, (text) => text.replace('to: [any', 'too: [any'));
      const failed = await command(garter, 'reload');
      assert.equal(failed.code, 1);
      assert.match(failed.stderr, /garter\.yaml:\d+:\d+: error: .*too.*\n.*\^\^\^\n +did you mean to\?/s);
      assert.equal(failed.stdout, '');
      await change(garter, () => before);
      assert.deepEqual(await command(garter, 'reload'), { code: 0, stdout: 'reloaded\n', stderr: '' });
      const json = await command(garter, 'reload', '--json');
      assert.deepEqual(JSON.parse(json.stdout), { reloaded: true, warnings: '' });
      await until(async () => (await garter.log()).filter(({ event }) => event === 'reloaded').length === 2);
    });

    test('status shows how it is, and how the last reload went', async () => {
      await using garter = await startControlled({ config });
      const { code, stdout } = await command(garter, 'status');
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`process ${garter.process.pid}, .*\nstate +ready\n`));
      assert.match(stdout, new RegExp(`listening +127.0.0.1:${garter.port}\n`));
      await change(garter, (text) => `${text}\nunknown: 1\n`);
      await command(garter, 'reload');
      const now = JSON.parse((await command(garter, 'status', '--json')).stdout) as Status;
      assert.equal(now.ready, true);
      assert.equal(now.workers.length, process.env.GARTER_ENGINE === 'portable' ? 1 : workers);
      assert.equal(now.reload?.ok, false);
      assert.match(now.reload.report, /no key "unknown"/);
    });

    test('sessions are listed and ended by id or filter', async () => {
      await using echo = await startEcho();
      await using garter = await startControlled({
        config,
        users: { alice: 'secret', bob: 'secret' },
        listener: ['methods: [password, none]'],
      });
      using first = await connectAs('alice', garter, echo);
      using second = await connectAs('alice', garter, echo);
      using third = await connectThrough(garter, echo);
      const list = async (...args: readonly string[]): Promise<readonly ConnectionRecord[]> => {
        const { code, stdout } = await command(garter, 'sessions', '--json', ...args);
        assert.equal(code, 0);
        return stdout
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line) as ConnectionRecord);
      };
      const to = `127.0.0.1:${echo.port}`;
      assert.equal((await list()).length, 3);
      assert.equal((await list('--to', to)).length, 3);
      assert.equal((await list('--to', '127.0.0.1', '--client', '127.0.0.1', '--user', 'alice')).length, 2);
      assert.equal((await list('--user', 'bob')).length, 0);
      assert.match((await command(garter, 'sessions')).stdout, /^session id=\S+ client=127/);

      const [one] = await list('--user', 'alice');
      const killed = await command(garter, 'kill', one!.id);
      assert.deepEqual(killed, { code: 0, stdout: 'ended 1 session\n', stderr: '' });
      await garter.record({ id: one!.id, end: 'admin:relay:killed' });
      const again = await command(garter, 'kill', one!.id);
      assert.deepEqual([again.code, again.stdout], [1, 'ended 0 sessions\n']);
      const json = await command(garter, 'kill', '--json', '--user', 'alice');
      assert.deepEqual(JSON.parse(json.stdout), { ended: 1 });
      assert.deepEqual(
        (await list()).map(({ user }) => user),
        [undefined],
      );
      assert.equal((await command(garter, 'kill')).code, 2);
      assert.equal((await command(garter, 'kill', '--all', '--user', 'alice')).code, 2);
      assert.equal((await ask(garter, 'DELETE', '/v1/sessions')).status, 400);
      assert.equal((await command(garter, 'kill', '--all')).stdout, 'ended 1 session\n');
      await Promise.all([first, second, third].map((client) => client.gone()));
    });

    test('explain answers as check does, but by the rules in force', async () => {
      await using garter = await startControlled({
        config: `workers: ${workers}\nrules: [{ name: web, allow: connect, user: alice, to: [192.0.2.0/24] }]`,
        users: { alice: 'secret' },
        listener: ['methods: [password, none]'],
      });
      const questions = [
        '--from 127.0.0.1 --user alice --to 192.0.2.7:80 --at 2026-11-20T10:00Z',
        '--from 127.0.0.1 --to 192.0.2.7:80 --at 2026-11-20T10:00Z',
        '--from 127.0.0.1 --user mallory --to 192.0.2.7:80 --at 2026-11-20T10:00Z',
        '--from 127.0.0.1 --user alice --to db.example:80 --address 192.0.2.8 --at 2026-11-20T10:00Z',
        '--from 127.0.0.1 --user alice --to 192.0.2.7:80 --command bind --at 2026-11-20T10:00Z',
      ].map((line) => line.split(' '));
      const before: Outcome[] = [];
      for (const question of questions) {
        const checked = await garterRun('check', configOf(garter), ...question);
        const explained = await command(garter, 'explain', ...question);
        assert.deepEqual(explained, checked);
        before.push(explained);
      }
      assert.deepEqual(
        before.map(({ code }) => code),
        [0, 1, 1, 0, 1],
      );
      await change(garter, (text) => text.replace('192.0.2.0/24', '198.51.100.0/24'));
      assert.deepEqual(await command(garter, 'explain', ...questions[0]!), before[0]);
      await command(garter, 'reload');
      assert.equal((await command(garter, 'explain', ...questions[0]!)).code, 1);
      assert.equal((await command(garter, 'explain', '--to', 'x:1')).code, 2);
    });

    test('drain ends it when its sessions have ended', async () => {
      await using echo = await startEcho();
      await using garter = await startControlled({ config: `timeouts: { drain: 5m }\n${config}` });
      using client = await connectThrough(garter, echo);
      const { stdout } = await command(garter, 'drain');
      assert.equal(stdout, 'ending; 1 session may finish\n');
      const now = JSON.parse((await command(garter, 'status', '--json')).stdout) as Status;
      assert.deepEqual([now.ready, now.ending], [false, true]);
      assert.equal((await command(garter, 'reload')).code, 1);
      client.reset();
      assert.equal(await garter.process.ended(), 0);
      assert.match((await command(garter, 'status')).stderr, /there is no such socket/);
    });
  });
}

test('a port that is taken is an outcome too', async () => {
  await using garter = await startControlled();
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  await change(garter, (text) => text.replace(/127\.0\.0\.1:0/, `127.0.0.1:${port}`));
  const { code, stderr } = await command(garter, 'reload');
  other.close();
  assert.equal(code, 1);
  assert.match(stderr, /EADDRINUSE/);
});

test('reloads that are asked for at once all get an outcome', async () => {
  await using garter = await startControlled();
  const answers = await Promise.all(Array.from({ length: 12 }, () => ask(garter, 'POST', '/v1/reload')));
  assert.deepEqual(
    answers.map(({ status }) => status),
    answers.map(() => 200),
  );
});

test('only the user of garter may use the socket', async () => {
  await using garter = await startControlled();
  const { mode } = await stat(socketOf(garter));
  assert.equal((mode & 0o777).toString(8), '600');
});

test('the socket is found by the configuration, faulty or not', async () => {
  await using garter = await startControlled();
  const again = (): Promise<Outcome> => garterRun('reload', '--config', configOf(garter));
  assert.equal((await again()).code, 0);
  await change(garter, (text) => `${text}\nunknown: 1\n`);
  const { code, stderr } = await again();
  assert.equal(code, 1);
  assert.match(stderr, /there is no key "unknown"/);
});

test('beside the state file without a word, and nowhere with off', async () => {
  await using directory = await startGarter({ config: `state: state.json\n${OPEN}` });
  const { code } = await garterRun('reload', '--config', configOf(directory));
  assert.equal(code, 0);
  await using none = await startGarter({ config: `control: off\nstate: state.json\n${OPEN}` });
  const { code: refused, stderr } = await garterRun('reload', '--config', configOf(none));
  assert.equal(refused, 1);
  assert.match(stderr, /control: off/);
});

test('a socket left behind is replaced, a live one prevents the start', async () => {
  await using garter = await startControlled();
  const config = `control: unix:${join(garter.directory, 'two.sock')}\n${OPEN}`;
  const second = await startGarter({ config });
  const third = join(garter.directory, 'third.yaml');
  await writeFile(third, `listen: [{ address: 127.0.0.1:0 }]\ncontrol: unix:two.sock\n`);
  const refused = await run([garterCommand, 'serve', '--config', third]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /EADDRINUSE.*two\.sock/);
  const again = (): Promise<Outcome> => garterRun('reload', '--control', join(garter.directory, 'two.sock'));
  assert.equal((await again()).code, 0, 'the second still has it');
  second.process.signal('SIGKILL');
  await second.process.ended();
  await assert.rejects(Promise.resolve(second[Symbol.asyncDispose]()));
  assert.match((await again()).stderr, /no garter listens there any more/);
  await using _ = await startGarter({ config });
  assert.equal((await again()).code, 0);
});

test('stop waits until it has gone', async () => {
  await using garter = await startControlled();
  assert.deepEqual(await command(garter, 'stop'), { code: 0, stdout: 'stopped\n', stderr: '' });
  assert.equal(await garter.process.ended(), 0);
  assert.equal((await command(garter, 'stop')).code, 1);
});

test('a pid file: a stale one is replaced, a live one prevents the start, stop uses it', async () => {
  await using directory = await makeDirectory();
  const file = join(directory.path, 'pid');
  const config = `pid-file: ${file}\n${OPEN}`;
  // Another program has the id by now.
  await writeFile(file, `${process.ppid}\n`);
  {
    await using garter = await startGarter({ config });
    assert.equal(await readFile(file, 'utf8'), `${garter.process.pid}\n`);
    await assert.rejects(
      async () => {
        await using _ = await startGarter({ config });
      },
      new RegExp(`pid: garter is running already, as process ${garter.process.pid}\n`),
    );
    assert.equal(await readFile(file, 'utf8'), `${garter.process.pid}\n`, 'the first has it still');
    assert.equal((await garterRun('stop', '--pid-file', file, '--timeout', 'x')).code, 2);
    assert.equal((await garterRun('stop', '--config', configOf(garter))).stdout, 'stopped\n');
    assert.equal(await garter.process.ended(), 0);
  }
  await assert.rejects(readFile(file), { code: 'ENOENT' });
  assert.deepEqual(await garterRun('stop', '--pid-file', file), {
    code: 0,
    stdout: 'not running\n',
    stderr: '',
  });
});

test(
  'the process is called garter, and keeps its arguments',
  { skip: process.platform !== 'linux' },
  async () => {
    await using garter = await startGarter();
    const read = (what: string): Promise<string> => readFile(`/proc/${garter.process.pid}/${what}`, 'utf8');
    assert.equal(await read('comm'), 'garter\n');
    assert.match(await read('cmdline'), /\0serve\0--config\0/);
  },
);

test('SIGUSR2 prints the open sessions in the format of the log', async () => {
  await using garter = await startGarter({
    complaint: /"event":"sessions","message":"open sessions","open":0\}\n$/,
  });
  garter.process.signal('SIGUSR2');
  const line = await until(() => /^.*\n/.exec(garter.process.stderr())?.[0]);
  assert.equal((JSON.parse(line) as { open: number }).open, 0);
});

test('what nobody should send is refused or closed', async () => {
  await using garter = await startControlled();
  for (const [method, path, headers, status, code] of [
    ['GET', '/', {}, 404, 'not-found'],
    ['GET', '/v1/reload', {}, 405, 'method'],
    ['GET', '/__proto__', {}, 404, 'not-found'],
    ['POST', '/v1/reload', { 'Content-Length': '5000' }, 400, 'body'],
  ] as const) {
    const answer = await ask(garter, method, path, headers);
    assert.deepEqual([answer.status, answer.body.error.code], [status, code], path);
  }
  for (const [bytes, status] of [
    [`GET /v1/status HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`, '431'],
    ['\x05\x01\x00', '400'],
    ['\0'.repeat(100_000), '400'],
  ] as const) {
    const socket = connect(socketOf(garter));
    socket.on('error', () => {}); // what is still in flight
    let text = '';
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.write(bytes);
    await new Promise((resolve) => socket.on('close', resolve));
    assert.equal(text.slice(9, 12), status);
  }
});

test('silent clients keep nobody from it', async () => {
  await using garter = await startControlled();
  const idle = Array.from({ length: 40 }, () => connect(socketOf(garter)));
  for (const socket of idle) {
    socket.on('error', () => {}); // the oldest are closed
    socket.write('GET /v1');
  }
  assert.equal((await ask(garter, 'GET', '/v1/status')).status, 200);
  for (const socket of idle) socket.destroy();
});

test('without a server the commands say where they looked, and with --help what they do', async () => {
  const { code, stdout, stderr } = await run([garterCommand, 'reload', '--control', '/nowhere/c.sock']);
  assert.deepEqual([code, stdout], [1, '']);
  assert.equal(stderr, 'garter reload: /nowhere/c.sock: there is no such socket\n');
  for (const name of ['drain', 'explain', 'kill', 'reload', 'sessions', 'status', 'stop'] as const) {
    assert.equal((await garterRun(name, '--no-such')).code, 2);
    assert.match(
      (await garterRun(name, '--help')).stdout,
      new RegExp(`^Usage: garter ${name} .*\nExample: `, 's'),
    );
  }
});
