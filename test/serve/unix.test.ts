import assert from 'node:assert/strict';
import { stat, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand, OPEN, startGarter } from '../support/garter.ts';
import { run, start, type Daemon } from '../support/process.ts';
import { Command, connectThrough, formatHex, replyCode, request5 } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

const READY = /^garter listening on unix:(\S+)$/m;

async function serve(folder: string, listener = 'address: unix:garter.sock'): Promise<Daemon> {
  const config = join(folder, 'garter.yaml');
  await writeFile(config, `listen: [{ ${listener} }]\nlog: { to: { file: garter.log } }\n`);
  return start([garterCommand, 'serve', '--config', config], { ready: READY });
}

/** The first bytes received for a CONNECT and some data, over the socket. */
async function echoThrough(path: string, port: number): Promise<string> {
  const socket = connect(path);
  socket.write(
    Buffer.concat([Buffer.of(5, 1, 0), request5(Command.connect, '127.0.0.1', port), Buffer.from('hello')]),
  );
  const chunks: Buffer[] = [];
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer);
    if (Buffer.concat(chunks).length >= 17) break;
  }
  const bytes = Buffer.concat(chunks);
  return `${formatHex(bytes.subarray(0, 4))} ${bytes.subarray(12).toString()}`;
}

test('a unix socket has its mode, and its clients count as local', async () => {
  await using echo = await startEcho();
  await using directory = await makeDirectory();
  const path = join(directory.path, 'garter.sock');
  await using garter = await serve(directory.path, 'address: unix:garter.sock, mode: "0600"');
  assert.equal(garter.ready[1], path);
  const { mode } = await stat(path);
  assert.equal(mode & 0o777, 0o600);
  assert.equal(await echoThrough(path, echo.port), '05 00 05 00 hello');
  garter.signal('SIGTERM');
  await garter.ended();
  await assert.rejects(stat(path), { code: 'ENOENT' });
});

test('an upstream at a unix socket', async () => {
  await using echo = await startEcho();
  await using directory = await makeDirectory();
  const path = join(directory.path, 'garter.sock');
  await using far = await serve(directory.path);
  await using near = await startGarter({
    config: `
${OPEN}
routes: [{ to: [any], via: both }]
upstreams: { both: { servers: ["socks5h://localhost${path}-none", "socks5h://localhost${path}"] } }`,
  });
  using client = await connectThrough(near, echo);
  client.send(Buffer.from('there and back'));
  client.end();
  assert.equal((await client.rest()).toString(), 'there and back');
  await near.record({ route: `both/${path}`, end: 'client:relay' });
  far.signal('SIGTERM');
  await far.ended();
  assert.equal(await replyCode(near, request5(Command.connect, echo.host, echo.port)), 1);
  await near.record({ end: 'upstream:dial:ENOENT' });
});

test('the socket of a dead server is replaced', async () => {
  await using echo = await startEcho();
  await using directory = await makeDirectory();
  const path = join(directory.path, 'garter.sock');
  {
    await using killed = await serve(directory.path);
    killed.signal('SIGKILL');
    await killed.ended();
  }
  assert.ok((await stat(path)).isSocket());
  await using garter = await serve(directory.path);
  assert.equal((await stat(path)).mode & 0o777, 0o660);
  assert.equal(await echoThrough(path, echo.port), '05 00 05 00 hello');
  assert.equal(garter.stderr(), '');
});

test('a socket in use, or another file, is left alone', async () => {
  await using directory = await makeDirectory();
  const path = join(directory.path, 'garter.sock');
  const config = join(directory.path, 'garter.yaml');
  await writeFile(config, 'listen: [{ address: unix:garter.sock }]\n');
  const command = [garterCommand, 'serve', '--config', config];
  const other = createServer().listen(path);
  await once(other, 'listening');
  const inUse = await run(command);
  assert.equal(inUse.code, 1);
  assert.match(inUse.stderr, /EADDRINUSE.*garter\.sock.*another program/);
  other.close();
  await once(other, 'close');
  await writeFile(path, 'precious');
  assert.equal((await run(command)).code, 1);
  assert.ok((await stat(path)).isFile());
});
