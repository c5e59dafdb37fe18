import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import type { Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../../test/support/process.ts';
import { Log } from '../log.ts';

function logTo(syslog: string): Log {
  return new Log({ level: 'info', format: 'text', to: [{ syslog }] });
}

/** A message without its header. */
function said(message: string): string {
  return message.replace(/^<\d+>1 (\S+ ){5}- /, '');
}

interface UdpReceiver extends Disposable {
  readonly port: number;
  readonly messages: string[];
}

async function receiveUdp(host: string, port = 0): Promise<UdpReceiver> {
  const socket: DatagramSocket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  const messages: string[] = [];
  socket.on('message', (message) => messages.push(message.toString()));
  socket.bind(port, host);
  await once(socket, 'listening');
  return { port: socket.address().port, messages, [Symbol.dispose]: () => socket.close() };
}

interface TcpReceiver extends Disposable {
  readonly port: number;
  readonly sockets: Set<Socket>;
  /** The messages of all connections, in order of arrival; throws when the octet counts are wrong. */
  readonly messages: () => string[];
}

async function receiveTcp(host: string, port = 0, { reads = true } = {}): Promise<TcpReceiver> {
  const streams: Buffer[][] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const chunks: Buffer[] = [];
    streams.push(chunks);
    sockets.add(socket);
    socket.on('error', () => {}); // how the connection ends does not matter here
    if (reads) socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  });
  server.listen(port, host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    messages: () => streams.flatMap((chunks) => splitOctets(Buffer.concat(chunks))),
    [Symbol.dispose]: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Splits `LENGTH MESSAGE` repeated; an incomplete last one is left out. */
function splitOctets(stream: Buffer): string[] {
  const messages: string[] = [];
  for (let rest = stream; rest.length > 0;) {
    const space = rest.indexOf(' ');
    if (space < 0) break;
    const length = Number(rest.toString('latin1', 0, space));
    const message = rest.subarray(space + 1, space + 1 + length);
    assert.ok(length > 0, `not a length: ${rest.toString('latin1', 0, 20)}`);
    if (message.length < length) break;
    assert.equal(message[0], '<'.charCodeAt(0));
    messages.push(message.toString());
    rest = rest.subarray(space + 1 + length);
  }
  return messages;
}

const names = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => `reloaded i=${i + from}`);

suite('syslog over UDP', () => {
  for (const host of ['127.0.0.1', '::1']) {
    test(`sends one datagram per line, to ${host}`, async () => {
      using receiver = await receiveUdp(host);
      const log = logTo(`udp://${host.includes(':') ? `[${host}]` : host}:${receiver.port}`);
      for (let i = 0; i < 200; i++) log.info('reloaded', { i });
      log.error('not-reloaded', { text: 'ö'.repeat(9000) });
      await until(() => receiver.messages.length === 201);
      await log.close();
      assert.deepEqual(receiver.messages.slice(0, -1).map(said), names(200));
      const last = receiver.messages.at(-1)!;
      assert.match(
        last,
        /^<27>1 .* not-reloaded - not-reloaded: the reload failed; nothing has changed text="ö+$/,
      );
      assert.ok(Buffer.byteLength(last) >= 8191);
      assert.equal(log.lost, 0);
    });
  }

  test('has the facility that is written', async () => {
    using receiver = await receiveUdp('127.0.0.1');
    const syslog = `udp://127.0.0.1:${receiver.port}`;
    const log = new Log({ level: 'info', format: 'text', to: [{ syslog, facility: 'local3' }, { syslog }] });
    log.info('started');
    await until(() => receiver.messages.length === 2);
    await log.close();
    const priorities = receiver.messages.map((message) => Number(/^<(\d+)>/.exec(message)![1]));
    assert.deepEqual(
      priorities.toSorted((a, b) => a - b),
      [30, 158],
    );
  });

  test('notices a missing receiver, and continues when there is one', async () => {
    const { port } = await gone(receiveUdp('127.0.0.1'));
    const log = logTo(`udp://127.0.0.1:${port}`);
    log.info('started');
    await delay(100);
    for (let i = 0; i < 100; i++) log.info('reloaded', { i });
    await until(() => log.fault === 'ECONNREFUSED');
    // Attempts in between do not count as success.
    for (let i = 0; i < 20; i++) {
      await delay(50);
      assert.equal(log.fault, 'ECONNREFUSED');
    }
    using receiver = await receiveUdp('127.0.0.1', port);
    await until(() => log.fault === undefined);
    await log.close();
    await until(() => receiver.messages.length === 101);
    assert.deepEqual(receiver.messages.map(said), [
      ...names(100),
      'log-recovered: the log can be written again code=ECONNREFUSED lost=1',
    ]);
    assert.equal(log.lost, 1);
  });
});

suite('syslog over TCP', () => {
  for (const host of ['127.0.0.1', '::1']) {
    test(`counts octets, to ${host}`, async () => {
      using receiver = await receiveTcp(host);
      const log = logTo(`tcp://${host.includes(':') ? `[${host}]` : host}:${receiver.port}`);
      for (let i = 0; i < 2000; i++) log.info('reloaded', { i });
      log.info('started', { user: 'jörg €' });
      await log.close();
      await until(() => receiver.messages().length === 2001);
      assert.deepEqual(receiver.messages().map(said), [...names(2000), 'started user="jörg €"']);
      assert.equal(receiver.sockets.size, 1);
    });
  }

  test('connects again after the receiver has closed the connection', async () => {
    using receiver = await receiveTcp('127.0.0.1');
    const log = logTo(`tcp://127.0.0.1:${receiver.port}`);
    for (let i = 0; i < 5; i++) {
      log.info('reloaded', { i });
      await until(() => receiver.messages().length === i + 1);
      for (const socket of receiver.sockets) socket.end();
      await delay(50);
    }
    await log.close();
    assert.deepEqual(receiver.messages().map(said), names(5));
    assert.equal(receiver.sockets.size, 5);
    assert.equal(log.fault, undefined);
  });

  test('keeps lines until there is a receiver', async () => {
    const { port } = await gone(receiveTcp('127.0.0.1'));
    const log = logTo(`tcp://127.0.0.1:${port}`);
    for (let i = 0; i < 100; i++) log.info('reloaded', { i });
    await until(() => log.fault === 'ECONNREFUSED');
    using receiver = await receiveTcp('127.0.0.1', port);
    await until(() => log.fault === undefined);
    await log.close();
    await until(() => receiver.messages().length === 101);
    assert.deepEqual(receiver.messages().map(said), [
      ...names(100),
      'log-recovered: the log can be written again code=ECONNREFUSED lost=0',
    ]);
  });

  test('a receiver that does not read does not block anything', async () => {
    using receiver = await receiveTcp('127.0.0.1', 0, { reads: false });
    const log = logTo(`tcp://127.0.0.1:${receiver.port}`);
    // More than the system's buffers hold.
    for (let round = 0; round < 10 && log.lost === 0; round++) {
      for (let i = 0; i < 500; i++) log.info('reloaded', { x: 'x'.repeat(8000) });
      await delay(50);
    }
    assert.ok(log.lost > 0);
    assert.equal(log.fault, 'ENOBUFS');
    const began = performance.now();
    const waited = delay(2000).then(() => performance.now() - began);
    await log.close();
    const took = performance.now() - began;
    assert.ok(took < 4 * (await waited), `${took} ms, where two seconds take ${await waited}`);
    assert.equal(log.fault, 'ETIMEDOUT');
  });

  test('closing without a receiver drops the waiting lines at once', async () => {
    const { port } = await gone(receiveTcp('127.0.0.1'));
    const log = logTo(`tcp://127.0.0.1:${port}`);
    for (let i = 0; i < 100; i++) log.info('reloaded', { i });
    await log.close();
    assert.equal(log.lost, 100);
    assert.equal(log.fault, 'ECONNREFUSED');
  });
});

suite('syslog of this machine', () => {
  test('a missing logger(1) is a fault', async () => {
    const path = process.env['PATH'];
    process.env['PATH'] = '/nowhere';
    try {
      const log = logTo('local');
      log.info('reloaded');
      await until(() => log.fault === 'logger-127');
      await log.close();
      assert.equal(log.lost, 1);
    } finally {
      process.env['PATH'] = path;
    }
  });
});

/** A receiver that has closed: its port has no listener. */
async function gone<T extends Disposable>(receiver: Promise<T>): Promise<T> {
  const before = await receiver;
  before[Symbol.dispose]();
  return before;
}
