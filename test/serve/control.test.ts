import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { garterCommand, startGarter, OPEN } from '../support/garter.ts';
import type { Garter, GarterOptions } from '../support/garter.ts';
import { run } from '../support/process.ts';
import type { Outcome } from '../support/process.ts';

/** A server with a control socket in its own directory. */
function startControlled(options: GarterOptions = {}): Promise<Garter> {
  return startGarter({ ...options, config: `control: unix:control.sock\n${options.config ?? OPEN}` });
}

const socketOf = (garter: Garter): string => join(garter.directory, 'control.sock');
const configOf = (garter: Garter): string => join(garter.directory, 'garter.yaml');

/** Runs a command of garter that asks this server. */
function command(garter: Garter, ...args: readonly string[]): Promise<Outcome> {
  const [name = '', ...rest] = args;
  return run([garterCommand, name, '--control', socketOf(garter), ...rest]);
}

/** The answer to a request over the socket. */
function ask(
  garter: Garter,
  method: string,
  path: string,
  headers = {},
): Promise<{ status: number; body: { error: { code: string } } }> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath: socketOf(garter), method, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += String(chunk)));
      response.on('end', () => resolve({ status: response.statusCode!, body: JSON.parse(text) as never }));
    });
    asking.on('error', reject);
    asking.end();
  });
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
      assert.deepEqual(JSON.parse(json.stdout), { reloaded: true });
      const events = (await garter.log()).map(({ event }) => event);
      assert.equal(events.filter((event) => event === 'reloaded').length, 2);
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
  const reload = (): Promise<Outcome> => run([garterCommand, 'reload', '--config', configOf(garter)]);
  assert.equal((await reload()).code, 0);
  await change(garter, (text) => `${text}\nunknown: 1\n`);
  const { code, stderr } = await reload();
  assert.equal(code, 1);
  assert.match(stderr, /there is no key "unknown"/);
});

test('beside the state file without a word, and nowhere with off', async () => {
  await using directory = await startGarter({ config: `state: state.json\n${OPEN}` });
  const { code } = await run([garterCommand, 'reload', '--config', configOf(directory)]);
  assert.equal(code, 0);
  await using none = await startGarter({ config: `control: off\nstate: state.json\n${OPEN}` });
  const { code: usage, stderr } = await run([garterCommand, 'reload', '--config', configOf(none)]);
  assert.equal(usage, 2);
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
  const reload = [garterCommand, 'reload', '--control', join(garter.directory, 'two.sock')];
  assert.equal((await run(reload)).code, 0, 'the second still has it');
  second.process.signal('SIGKILL');
  await second.process.ended();
  await assert.rejects(Promise.resolve(second[Symbol.asyncDispose]()));
  assert.match((await run(reload)).stderr, /no garter listens there any more/);
  await using _ = await startGarter({ config });
  assert.equal((await run(reload)).code, 0);
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

test('without a server the command says where it looked', async () => {
  const { code, stderr } = await run([garterCommand, 'reload', '--control', '/nowhere/control.sock']);
  assert.equal(code, 1);
  assert.equal(stderr, 'garter reload: /nowhere/control.sock: there is no such socket\n');
  assert.equal((await run([garterCommand, 'reload', '--no-such'])).code, 2);
  assert.match(
    (await run([garterCommand, 'reload', '--help'])).stdout,
    /^Usage: garter reload .*\nExample: /s,
  );
});
