import assert from 'node:assert/strict';
import { access, chmod, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { associate } from '../support/datagrams.ts';
import { garterCommand, startGarter } from '../support/garter.ts';
import { check, run, start, until } from '../support/process.ts';
import { Command, connectThrough, RawClient, replyCode, request5 } from '../support/raw.ts';
import { closedPort, startEcho } from '../support/targets.ts';

const listening = /^garter listening on 127\.0\.0\.1:(\d+)$/gm;
const listeningOnce = /^garter listening on 127\.0\.0\.1:(\d+)$/m;

test('without a configuration: one line per listener on standard output, and clients on loopback can connect to loopback', async () => {
  const flags = ['--listen', '127.0.0.1:0', '--listen', '127.0.0.1:0'];
  await using echo = await startEcho();
  await using garter = await start([garterCommand, 'serve', ...flags], {
    ready: /(garter listening on .*\n){2}/,
  });
  const lines = garter.stdout().trimEnd().split('\n');
  assert.equal(lines.length, 2, garter.stdout());
  for (const [, port] of garter.stdout().matchAll(listening)) {
    using client = await connectThrough({ host: '127.0.0.1', port: Number(port) }, echo);
    client.send(Buffer.from('hello'));
    await client.expect(Buffer.from('hello'));
  }
  garter.signal('SIGTERM');
  assert.equal(await garter.ended(), 0);
});

test('a port in use: exit code 1 and an explanation', async () => {
  await using garter = await startGarter();
  const { code, stdout, stderr } = await run([
    garterCommand,
    'serve',
    '--listen',
    `127.0.0.1:${garter.port}`,
  ]);
  assert.equal(code, 1, stderr);
  assert.equal(stdout, '');
  assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${garter.port}`));
  assert.doesNotMatch(stderr, /^\s+at /m, 'no stack');
});

test('a listener for other machines, without users: exit code 2 and the remedy', async () => {
  const { code, stdout, stderr } = await run([garterCommand, 'serve', '--listen', '0.0.0.0:0']);
  assert.equal(code, 2, stderr);
  assert.equal(stdout, '');
  assert.match(stderr, /users|accept/);
});

test('a users file that others can write prevents the start, and one that they can read causes a warning', async () => {
  await using garter = await startGarter({ users: { alice: 'secret' } });
  const file = join(garter.directory, 'users.txt');
  const warned = async (): Promise<number> =>
    (await garter.log()).filter(({ event }) => event === 'users-exposed').length;
  assert.equal(await warned(), 0);
  await chmod(file, 0o644);
  garter.process.signal('SIGHUP');
  await until(
    async () => (await warned()) === 1,
    () => 'nobody was warned',
  );
  await chmod(file, 0o620);
  await until(
    async () => (await garter.log()).find(({ event }) => event === 'users-not-reloaded'),
    () => 'it was reloaded',
  );
  const second = ['serve', '--listen', '127.0.0.1:0', '--users', file];
  const { code, stdout, stderr } = await run([garterCommand, ...second]);
  assert.equal(code, 2, stderr);
  assert.equal(stdout, '');
  assert.ok(
    stderr.endsWith(`${file}: users other than its owner can write it: chmod go-w ${file}\n`),
    stderr,
  );
});

test('SIGTERM: no new connections; it ends with the last open one', async () => {
  await using echo = await startEcho();
  await using garter = await startGarter();
  using client = await connectThrough(garter, echo);
  garter.process.signal('SIGTERM');
  await refusesConnections(garter);
  client.send(Buffer.from('still here'));
  await client.expect(Buffer.from('still here'));
  client.end();
  await client.rest();
  assert.equal(await garter.process.ended(), 0);
  await garter.record({
    destination: `${echo.host}:${echo.port}`,
    sent: 10,
    received: 10,
    end: 'client:relay',
  });
});

test('SIGTERM: connections still open after `drain` are ended', async () => {
  await using echo = await startEcho();
  await using garter = await startGarter({ config: 'timeouts: { drain: 1s }' });
  using client = await connectThrough(garter, echo);
  using udp = await associate(garter);
  using half = await RawClient.connect(garter);
  half.send('05');
  garter.process.signal('SIGTERM');
  await Promise.all([client.gone(), udp.control.gone(), half.gone()]);
  assert.equal(await garter.process.ended(), 0);
  const record = await garter.record({ destination: `${echo.host}:${echo.port}`, end: 'admin:relay:drain' });
  assert.ok(record.duration >= 990, `${record.duration} ms`);
});

test('a second SIGTERM ends everything at once, with records', async () => {
  await using echo = await startEcho();
  await using garter = await startGarter({ config: 'timeouts: { drain: 10m }' });
  using client = await connectThrough(garter, echo);
  garter.process.signal('SIGTERM');
  await refusesConnections(garter);
  garter.process.signal('SIGTERM');
  await client.gone();
  await garter.process.ended();
  const record = await garter.record({ destination: `${echo.host}:${echo.port}` });
  assert.match(record.end!, /^admin:relay/);
});

test('Ctrl-C says for how many sessions it waits and how long, and that a second one ends at once', async () => {
  await using echo = await startEcho();
  const flags = ['--listen', '127.0.0.1:0'];
  await using garter = await start([garterCommand, 'serve', ...flags], { ready: listeningOnce });
  using client = await connectThrough({ host: '127.0.0.1', port: Number(garter.ready[1]) }, echo);
  garter.signal('SIGINT');
  await until(
    () =>
      /^garter: waiting up to 30 s for 1 open session; press Ctrl-C again to end at once$/m.test(
        garter.stderr(),
      ),
    () => garter.stderr(),
  );
  client.send('61');
  await client.expect('61');
  garter.signal('SIGINT');
  assert.equal(await garter.ended(), 0);
});

test('SIGUSR2 prints the open sessions', async () => {
  await using echo = await startEcho();
  await using garter = await start([garterCommand, 'serve', '--listen', '127.0.0.1:0'], {
    ready: /^garter listening on 127\.0\.0\.1:(\d+)$/m,
  });
  using client = await connectThrough({ host: '127.0.0.1', port: Number(garter.ready[1]) }, echo);
  garter.signal('SIGUSR2');
  const [, line] = await until(
    () => /^(.* session .*)\n.* sessions: open sessions open=1$/m.exec(garter.stderr()) ?? undefined,
    () => `no session in ${garter.stderr()}`,
  );
  assert.match(
    line!,
    new RegExp(`client=127\\.0\\.0\\.1:${client.localPort} .*destination=127\\.0\\.0\\.1:${echo.port}`),
  );
});

test('SIGUSR1 opens no inspector', async () => {
  await using echo = await startEcho();
  await using garter = await startGarter();
  garter.process.signal('SIGUSR1');
  using client = await connectThrough(garter, echo);
  client.send(Buffer.from('hello'));
  await client.expect(Buffer.from('hello'));
  assert.doesNotMatch(garter.process.stderr(), /Debugger/);
});

test('SIGHUP with an invalid file changes nothing and reports the reason', async () => {
  await using echo = await startEcho();
  await using garter = await startGarter();
  using client = await connectThrough(garter, echo);
  const file = join(garter.directory, 'garter.yaml');
  const good = await readFile(file, 'utf8');
  await writeFile(file, `${good}\nrulez: []\n`);
  garter.process.signal('SIGHUP');
  await until(
    async () =>
      (await garter.log()).find(
        ({ level, ...line }) => level === 'error' && /rulez/.test(JSON.stringify(line)),
      ),
    () => 'nothing in the log',
  );
  client.send(Buffer.from('still here'));
  await client.expect(Buffer.from('still here'));
  using next = await connectThrough(garter, echo);
  next.send(Buffer.from('as before'));
  await next.expect(Buffer.from('as before'));
});

test('SIGHUP with a configuration that cannot be applied changes nothing, and the next one can succeed', async () => {
  await using echo = await startEcho();
  const health = await closedPort();
  await using garter = await startGarter({ config: `health: 127.0.0.1:${health}` });
  const file = join(garter.directory, 'garter.yaml');
  const good = await readFile(file, 'utf8');
  const [port, otherHealth] = [await closedPort(), await closedPort()];
  const next = good
    .replace('listen:\n', `listen:\n  - address: 127.0.0.1:${port}\n`)
    .replace(String(health), String(otherHealth));
  const saying = async (event: string): Promise<unknown> =>
    until(
      async () => (await garter.log()).find((line) => line.event === event),
      () => `the log does not say ${event}`,
    );
  for (const fault of ['state: nowhere/state.json', 'log: { to: { file: nowhere/log } }']) {
    const broken = fault.startsWith('log') ? next.replace(/^log:.*$/m, fault) : `${next}\n${fault}\n`;
    await writeFile(file, broken);
    garter.process.signal('SIGHUP');
    await saying('not-reloaded');
    await assert.rejects(RawClient.connect({ host: '127.0.0.1', port }), { code: 'ECONNREFUSED' });
    assert.equal((await fetch(`http://127.0.0.1:${health}/healthz`)).status, 200);
    await rename(join(garter.directory, 'log.jsonl'), join(garter.directory, fault.slice(0, 3)));
    await writeFile(file, good);
    garter.process.signal('SIGHUP');
    await saying('reloaded');
  }
  await rename(join(garter.directory, 'log.jsonl'), join(garter.directory, 'old'));
  await writeFile(file, next);
  garter.process.signal('SIGHUP');
  await saying('reloaded');
  using client = await connectThrough({ host: '127.0.0.1', port }, echo);
  client.reset();
  assert.equal((await fetch(`http://127.0.0.1:${otherHealth}/healthz`)).status, 200);
});

test('it continues when standard output cannot be written', async () => {
  await using garter = await start(
    ['sh', '-c', 'exec "$0" serve --listen 127.0.0.1:0 >/dev/full & echo $!; wait $!', garterCommand],
    { ready: /^\d+$/m },
  );
  const pid = Number(garter.ready[0]);
  await until(
    async () => /^SigCgt:.*[13579bdf]$/m.test(await readFile(`/proc/${pid}/status`, 'utf8')),
    () => 'it does not handle SIGHUP',
  );
  process.kill(pid, 'SIGTERM');
  assert.equal(await garter.ended(), 0);
});

test('SIGHUP with new rules: they apply at once, and end sessions that they no longer allow', async () => {
  await using echo = await startEcho();
  await using other = await startEcho();
  await using garter = await startGarter({ config: rules(`${echo.port}, ${other.port}`) });
  using kept = await connectThrough(garter, echo);
  using revoked = await connectThrough(garter, other);
  const file = join(garter.directory, 'garter.yaml');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace(/^rules:.*$/m, rules(String(echo.port))));
  garter.process.signal('SIGHUP');
  await revoked.gone();
  kept.send(Buffer.from('still here'));
  await kept.expect(Buffer.from('still here'));
  assert.equal(await replyCode(garter, request5(Command.connect, other.host, other.port)), 2);
  await garter.record({ destination: `${other.host}:${other.port}`, end: 'policy:relay:revoked' });
});

test('SIGHUP reopens the log file', async () => {
  await using echo = await startEcho();
  await using garter = await startGarter();
  const file = join(garter.directory, 'log.jsonl');
  await rename(file, `${file}.1`);
  garter.process.signal('SIGHUP');
  await until(
    () =>
      access(file).then(
        () => true,
        () => undefined,
      ),
    () => 'no new log file',
  );
  using client = await connectThrough(garter, echo);
  client.end();
  await client.rest();
  await garter.record({ destination: `${echo.host}:${echo.port}` });
});

test('a password from the environment works, and appears nowhere', async () => {
  const password = 'correct horse battery';
  await using echo = await startEcho();
  await using garter = await start(
    [garterCommand, 'serve', '--listen', '127.0.0.1:0', '--log-level', 'debug'],
    {
      ready: /^garter listening on 127\.0\.0\.1:(\d+)$/m,
      env: { GARTER_USER: 'alice', GARTER_PASSWORD: password },
    },
  );
  const proxy = { host: '127.0.0.1', port: Number(garter.ready[1]) };
  using right = await RawClient.connect(proxy);
  right.send('05 01 02', login('alice', password), request5(Command.connect, echo.host, echo.port));
  await right.expect('05 02  01 00  05 00');
  using wrong = await RawClient.connect(proxy);
  wrong.send('05 01 02', login('alice', `${password}!`));
  await wrong.expect('05 02  01 01');
  await wrong.gone();
  const processes = await check(['ps', '-e', '-o', 'args']);
  assert.ok(processes.includes('serve'), processes);
  right.reset();
  garter.signal('SIGTERM');
  await garter.ended();
  for (const text of [processes, garter.stdout(), garter.stderr()]) assert.ok(!text.includes('horse'), text);
});

async function refusesConnections(proxy: { host: string; port: number }): Promise<void> {
  const refused = async (): Promise<true | undefined> => {
    try {
      (await RawClient.connect(proxy)).reset();
      return undefined;
    } catch {
      return true;
    }
  };
  await until(refused, () => 'it still accepts');
}

function rules(ports: string): string {
  return `rules: [{ name: some, allow: any, to: [loopback], port: [${ports}] }]`;
}

/** A login as in RFC 1929. */
function login(name: string, password: string): Buffer {
  const [user, secret] = [Buffer.from(name), Buffer.from(password)];
  return Buffer.concat([Buffer.of(1, user.length), user, Buffer.of(secret.length), secret]);
}

test('SIGHUP while draining does not reopen listeners', async () => {
  await using echo = await startEcho();
  await using garter = await startGarter({ config: 'timeouts: { drain: 20s }' });
  using client = await connectThrough(garter, echo);
  garter.process.signal('SIGTERM');
  await refusesConnections(garter);
  for (let i = 0; i < 5; i++) garter.process.signal('SIGHUP');
  await assert.rejects(RawClient.connect(garter));
  client.reset();
  assert.equal(await garter.process.ended(), 0);
});

test('SIGUSR2 with standard error closed ends nothing', async () => {
  const command = `exec ${garterCommand} serve --listen 127.0.0.1:0 2> >(exec true)`;
  await using garter = await start(['bash', '-c', command], { ready: listeningOnce });
  const proxy = { host: '127.0.0.1', port: Number(garter.ready[1]) };
  for (let i = 0; i < 3; i++) {
    garter.signal('SIGUSR2');
    using client = await RawClient.connect(proxy);
    client.send('05 01 00');
    await client.expect('05 00');
  }
});
