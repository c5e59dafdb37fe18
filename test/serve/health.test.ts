import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { startGarter, type Garter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { connectThrough, RawClient, replyCode, request5, Command } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

const CONFIG = 'health: 127.0.0.1:0';

async function urlOf(garter: Garter): Promise<string> {
  const [, at] = await until(
    () => /readyz on (\S+)/.exec(garter.process.stdout()) ?? undefined,
    () => 'no health',
  );
  return `http://${at}`;
}

test('/healthz and /readyz while serving', async () => {
  await using garter = await startGarter({ config: CONFIG });
  const url = await urlOf(garter);
  for (const [path, status, body] of [
    ['/healthz', 200, 'ok\n'],
    ['/readyz', 200, 'ready\n'],
    ['/', 404, '/healthz or /readyz\n'],
  ] as const) {
    const response = await fetch(`${url}${path}`);
    assert.equal(response.status, status);
    assert.equal(await response.text(), body);
  }
  assert.equal((await fetch(`${url}/readyz`, { method: 'HEAD' })).status, 200);
  assert.equal((await fetch(`${url}/readyz`, { method: 'POST', body: 'x' })).status, 405);
});

test('while draining it is not ready, but alive', async () => {
  await using echo = await startEcho();
  await using garter = await startGarter({ config: `${CONFIG}\ntimeouts: { drain: 20s }` });
  const url = await urlOf(garter);
  using client = await connectThrough(garter, echo);
  garter.process.signal('SIGTERM');
  await until(
    async () => (await fetch(`${url}/readyz`)).status === 503,
    () => 'still ready',
  );
  assert.match(await (await fetch(`${url}/readyz`)).text(), /^not ready\nshutting down/);
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  client.reset();
});

test('clients that never complete a request do not block it', async () => {
  await using garter = await startGarter({ config: CONFIG });
  const url = new URL(await urlOf(garter));
  await using idle = new AsyncDisposableStack();
  const sockets: Socket[] = [];
  for (let i = 0; i < 100; i++) {
    const socket = idle.use(connect(Number(url.port), url.hostname));
    sockets.push(socket);
    socket.on('error', () => undefined); // the oldest are closed
    socket.write('GET /heal');
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  }
  assert.equal((await fetch(`${url.href}healthz`)).status, 200);
  assert.ok(
    sockets.some((socket) => !socket.closed),
    'it was answered when they had gone',
  );
});

test('only the first of several requests in one piece is answered', async () => {
  await using garter = await startGarter({ config: CONFIG });
  const url = new URL(await urlOf(garter));
  const socket = connect(Number(url.port), url.hostname);
  socket.write('GET /healthz HTTP/1.1\r\nHost: garter\r\n\r\n'.repeat(1000));
  let text = '';
  socket.on('data', (bytes) => (text += String(bytes)));
  await once(socket, 'close');
  assert.equal(text.match(/HTTP\/1.1 200/g)?.length, 1);
});

test('a log that cannot be written is reported, and garter stays ready', async () => {
  await using garter = await startGarter({
    config: CONFIG,
    log: '/dev/full',
    complaint:
      /^\S+ error log-failed: the log cannot be written; connections continue to=\/dev\/full code=ENOSPC\n$/,
  });
  const url = await urlOf(garter);
  using client = await RawClient.connect(garter);
  client.reset();
  const text = await until(
    async () => {
      const said = await (await fetch(`${url}/readyz`)).text();
      return said.includes('ENOSPC') ? said : undefined;
    },
    () => 'nothing is said of the log',
  );
  assert.match(text, /^ready\nthe log cannot be written: ENOSPC/);
});

test('clients of the proxy cannot reach it', async () => {
  await using garter = await startGarter({ config: CONFIG });
  const { hostname, port } = new URL(await urlOf(garter));
  assert.equal(await replyCode(garter, request5(Command.connect, hostname, Number(port))), 2);
});
