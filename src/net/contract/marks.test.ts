import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as pathOf } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  assertSame,
  dialled,
  engines,
  leavesNothing,
  read,
  received,
  sample,
  startRelay,
} from '../../../test/support/engines.ts';
import { until } from '../../../test/support/process.ts';
import type { Connection, Engine, ListenAt } from '../engine.ts';
import {
  AF_INET,
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_OOB,
  SHUT_WR,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../../sys/constants.ts';
import { libc } from '../../sys/libc.ts';
import { addressOf, bytes, int32, reserve } from '../../sys/memory.ts';
import { encodePath, encodeSockaddr, SOCKADDR } from '../../sys/sockaddr.ts';

const MIB = 1 << 20;
const SCM_RIGHTS = 1;

const data = reserve(65_536);
const words = reserve(256) >> 2;

/** A connection of an engine, and the descriptor at its far end. */
interface RawPair {
  readonly near: Connection;
  readonly far: number;
}

leavesNothing();

for (const engine of engines) {
  suite(`${engine.name}: reads that stop short`, () => {
    for (const [what, before, size] of [
      ['few bytes', 0, 6],
      ['many', 0, 60_000],
      ['bulk', 8 * MIB, 60_000],
    ] as const) {
      for (const ends of [false, true]) {
        const then = ends ? 'the end' : 'more';
        test(`at an urgent byte behind ${what}: what follows it is delivered, then ${then}`, async () => {
          const client = await tcp(engine);
          const last = sample(size, 2);
          const bulk = sample(before, 1);
          await relays(engine, client, bulk, Buffer.concat([last, Buffer.from('after')]), ends, () => {
            send(client.far, last);
            send(client.far, Buffer.from('!'), MSG_OOB);
            send(client.far, Buffer.from('after'));
          });
        });
      }
    }

    for (const ends of [false, true]) {
      test(`behind a descriptor on a unix socket, then ${ends ? 'the end' : 'more'}`, async () => {
        const client = await unix(engine);
        await relays(engine, client, Buffer.of(), Buffer.from('one two'), ends, () => {
          sendDescriptor(client.far, Buffer.from('one '));
          send(client.far, Buffer.from('two'));
        });
      });
    }

    test('at an urgent byte in a handshake', async () => {
      const { near, far } = await tcp(engine);
      const reading = read(near, 3);
      send(far, Buffer.from('ab'));
      send(far, Buffer.from('!'), MSG_OOB);
      send(far, Buffer.from('c'));
      assert.equal((await reading).toString(), 'abc');
      near.destroy();
      libc.close(far);
    });
  });
}

/**
 * Lets `sending` send everything at once, so that the engine finds it complete, and checks what arrives at
 * the other end.
 */
async function relays(
  engine: Engine,
  client: RawPair,
  bulk: Buffer,
  expected: Buffer,
  ends: boolean,
  sending: () => void,
): Promise<void> {
  const target = await dialled(engine);
  const { relay, ended } = startRelay(engine, client.near, target.near);
  const whole = received(target.far);
  whole.catch(() => undefined); // may reject before it is awaited
  const passed = (count: number): Promise<true> =>
    until(
      () => relay.sent === count,
      () => `${relay.sent} bytes of ${count}`,
    );
  try {
    await sendBulk(client.far, bulk);
    await passed(bulk.length);
    sending();
    if (ends) libc.shutdown(client.far, SHUT_WR);
    await passed(bulk.length + expected.length);
    if (!ends) {
      send(client.far, Buffer.from('more'));
      libc.shutdown(client.far, SHUT_WR);
    }
    assertSame(await whole, Buffer.concat([bulk, expected, Buffer.from(ends ? '' : 'more')]));
    target.far.end();
    assert.deepEqual(await ended, { by: 'client' });
  } finally {
    relay.abort();
    target.far.destroy();
    libc.close(client.far);
  }
}

function tcp(engine: Engine): Promise<RawPair> {
  return pair(engine, { host: '127.0.0.1', port: 0 }, AF_INET, encodeSockaddr);
}

async function unix(engine: Engine): Promise<RawPair> {
  const directory = await mkdtemp(pathOf(tmpdir(), 'garter-'));
  const path = pathOf(directory, 'socket');
  try {
    return await pair(engine, { path, mode: 0o600 }, AF_UNIX, () => encodePath(path));
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function pair(
  engine: Engine,
  at: ListenAt,
  family: number,
  encode: (local: Connection['local']) => number,
): Promise<RawPair> {
  const arrival = Promise.withResolvers<Connection>();
  await using listener = await engine.listen(at, arrival.resolve, assert.fail);
  const far = libc.socket(family, SOCK_STREAM, 0);
  assert.equal(libc.connect(far, SOCKADDR, encode(listener.local)), 0);
  return { near: await arrival.promise, far };
}

function send(fd: number, chunk: Uint8Array, flags = 0): void {
  bytes.set(chunk, data);
  assert.equal(libc.send(fd, addressOf(data), chunk.length, flags | MSG_DONTWAIT), chunk.length);
}

async function sendBulk(fd: number, bulk: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bulk.length;) {
    const chunk = bulk.subarray(sent, sent + 65_536);
    bytes.set(chunk, data);
    const count = libc.send(fd, addressOf(data), chunk.length, MSG_DONTWAIT);
    if (count < 0) await delay(1);
    else sent += count;
  }
}

/** Sends bytes together with a descriptor, which the receiver ignores. */
function sendDescriptor(fd: number, chunk: Uint8Array): void {
  bytes.set(chunk, data);
  const [message, piece, control] = [words, words + 16, words + 20];
  int32.fill(0, words, words + 32);
  int32[message + 4] = addressOf(piece << 2);
  int32[message + 6] = 1;
  int32[message + 8] = addressOf(control << 2);
  int32[message + 10] = 24;
  int32[piece] = addressOf(data);
  int32[piece + 2] = chunk.length;
  int32.set([20, 0, SOL_SOCKET, SCM_RIGHTS, 0], control);
  assert.equal(libc.sendmmsg(fd, addressOf(message << 2), 1, 0), 1);
}
