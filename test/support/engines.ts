import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, Socket } from 'node:net';
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as tlsConnect, TLSSocket } from 'node:tls';
import type { Connection, Engine, Relay, RelayEnd, RelayOptions } from '../../src/net/engine.ts';
import { FastEngine } from '../../src/net/fast.ts';
import { PortableEngine } from '../../src/net/portable.ts';
import { cert, key } from './certificate.ts';
import { descriptors, untilDescriptors } from './usage.ts';

/** Every engine must pass all of src/net/contract/. */
export const engines: readonly Engine[] = [new PortableEngine(), new FastEngine()];

/** Asserts that the tests of a file close everything they open. */
export function leavesNothing(): void {
  let atFirst: number;
  before(async () => {
    atFirst = await descriptors(process.pid);
  });
  after(() => untilDescriptors(atFirst));
}

/** A connection of an engine, and the plain socket at the far end. */
export interface Pair {
  readonly near: Connection;
  readonly far: Socket;
}

const PLAIN = { allowHalfOpen: true, noDelay: true } as const;

/** A pair opened by the far end. */
export async function accepted(engine: Engine, host = '127.0.0.1'): Promise<Pair> {
  const arrival = Promise.withResolvers<Connection>();
  await using listener = await engine.listen({ host, port: 0 }, arrival.resolve, assert.fail);
  const far = connect({ ...PLAIN, ...listener.local });
  far.on('error', () => undefined); // tests check what it has received
  return { near: await arrival.promise, far };
}

/** A pair opened by the engine. */
export async function dialled(engine: Engine): Promise<Pair> {
  const arrival = Promise.withResolvers<Socket>();
  const server = createServer(PLAIN, arrival.resolve).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const near = await engine.connect({ host: address.address, port: address.port }, { timeout: 5000 });
  const far = await arrival.promise;
  far.on('error', () => undefined);
  server.close();
  return { near, far };
}

/** The same over TLS: both ends of the link, and the plain socket below the far end. */
export interface SecurePair extends Pair {
  readonly below: Socket;
}

/** Adds TLS to a pair whose far end is the client; the handshake is only complete for the client. */
export async function secured(engine: Engine, { near, far: below }: Pair): Promise<SecurePair> {
  const far = tlsConnect({ ca: cert, servername: 'localhost', socket: below });
  far.on('error', () => undefined);
  const carrier = near.detach();
  assert.ok(carrier instanceof Socket);
  const secure = new TLSSocket(carrier, { isServer: true, cert, key });
  const resetAndDestroy = (): void => {
    carrier.resetAndDestroy();
    secure.destroy();
  };
  await once(far, 'secureConnect');
  return { near: engine.adopt(secure, near.local, near.remote, { resetAndDestroy }), far, below };
}

/** A relay, and a promise of its end. */
export interface Running {
  readonly relay: Relay;
  readonly ended: Promise<RelayEnd>;
}

/** A relay with the far ends of its two connections. */
export interface Relayed extends Running, Disposable {
  readonly client: Socket;
  readonly target: Socket;
}

export const NO_LIMITS: RelayOptions = { idle: 0, halfClose: 0, duration: 0 };

export async function relayed(engine: Engine, limits: Partial<RelayOptions> = {}): Promise<Relayed> {
  const [client, target] = await Promise.all([accepted(engine), dialled(engine)]);
  return join(engine, client, target, limits);
}

/** Joins two connections with an engine. */
export function startRelay(
  engine: Engine,
  client: Connection,
  target: Connection,
  limits: Partial<RelayOptions> = {},
): Running {
  const { promise: ended, resolve: relayEnded } = Promise.withResolvers<RelayEnd>();
  return { relay: engine.relay(client, target, { ...NO_LIMITS, ...limits }, { relayEnded }), ended };
}

export function join(
  engine: Engine,
  client: Pair,
  target: Pair,
  limits: Partial<RelayOptions> = {},
): Relayed {
  const running = startRelay(engine, client.near, target.near, limits);
  return {
    client: client.far,
    target: target.far,
    ...running,
    [Symbol.dispose]: () => {
      running.relay.abort();
      client.far.destroy();
      target.far.destroy();
    },
  };
}

/**
 * Everything a far end receives up to a normal end of the stream. Rejects with the error of any other end.
 */
export function received(far: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  return new Promise((resolve, reject) => {
    far.on('data', (chunk: Buffer) => chunks.push(chunk));
    far.on('end', () => resolve(Buffer.concat(chunks)));
    far.on('error', reject);
  });
}

/** Makes a far end write as fast as it can. */
export function flood(far: Socket): { sent(): number; stop(): void } {
  const chunk = sample(65_536, 7);
  let sent = 0;
  const fill = (): void => {
    for (let more = true; more && far.writable; sent += chunk.length) more = far.write(chunk);
  };
  far.on('drain', fill);
  fill();
  return { sent: () => sent, stop: () => void far.off('drain', fill) };
}

/** Waits until a counter has begun to grow and then stopped. */
export async function settled(counter: () => number): Promise<number> {
  for (let last = 0; ; last = counter()) {
    await delay(250);
    if (last > 0 && counter() === last) return last;
  }
}

/** Waits until a far end is closed, normally or not. */
export function closed(far: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (far.closed) resolve();
    else far.once('close', () => resolve());
  });
}

/**
 * Like `closed`, for a far end that has read the end of the stream: only writing shows that the peer is gone.
 */
export async function gone(far: Socket): Promise<void> {
  const writing = setInterval(() => far.write('x'), 20);
  await closed(far);
  clearInterval(writing);
}

/** Reads exactly this many bytes from a connection; excess bytes are unread. */
export async function read(connection: Connection, size: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let missing = size;
  while (missing > 0) {
    const chunk = await connection.read();
    assert.ok(chunk, `the stream ended ${missing} bytes too early`);
    chunks.push(chunk);
    missing -= chunk.length;
  }
  const bytes = Buffer.concat(chunks);
  connection.unread(bytes.subarray(size));
  return bytes.subarray(0, size);
}

/** Bytes that vary with position and seed, so that a lost, repeated or swapped chunk is detected. */
export function sample(size: number, seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = seed;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = state ^ (state >>> 15);
  }
  return Buffer.from(words.buffer, 0, size);
}

/** Like `assert.deepEqual`, which would print megabytes. */
export function assertSame(actual: Uint8Array, expected: Uint8Array): void {
  const length = Math.min(actual.length, expected.length);
  for (let i = 0; i < length; i++) {
    if (actual[i] !== expected[i]) assert.fail(`byte ${i} is ${actual[i]}, not ${expected[i]}`);
  }
  assert.equal(actual.length, expected.length);
}
