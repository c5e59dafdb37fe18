import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { dialled, leavesNothing, startRelay } from '../../../test/support/engines.ts';
import { FastEngine } from '../fast.ts';
import { IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_NODELAY } from '../../sys/constants.ts';
import { libc } from '../../sys/libc.ts';
import { addressOf, int32, reserve } from '../../sys/memory.ts';
import { FastConnection } from './connection.ts';

leavesNothing();

const memory = reserve(8);

function option(fd: number, level: number, name: number): boolean {
  int32[(memory >> 2) + 1] = 4;
  assert.equal(libc.getsockopt(fd, level, name, addressOf(memory), addressOf(memory + 4)), 0);
  return int32[memory >> 2] !== 0;
}

test('a dialled connection has its options as soon as they matter', async () => {
  const engine = new FastEngine();
  const [client, target] = [await dialled(engine), await dialled(engine)];
  const { near } = target;
  assert.ok(near instanceof FastConnection);
  const noDelay = (): boolean => option(near.fd, IPPROTO_TCP, TCP_NODELAY);
  const keepAlive = (): boolean => option(near.fd, SOL_SOCKET, SO_KEEPALIVE);

  const { relay, ended } = startRelay(engine, client.near, near);
  client.far.write('x');
  await new Promise((resolve) => target.far.once('data', resolve));
  assert.ok(noDelay());

  const deadline = performance.now() + 10_000;
  while (!keepAlive() && performance.now() < deadline) await delay(50);
  assert.ok(keepAlive());

  relay.abort();
  await ended;
  client.far.destroy();
  target.far.destroy();
});

test('one with an onLost callback has keep-alive', async () => {
  const { near, far } = await dialled(new FastEngine());
  assert.ok(near instanceof FastConnection);
  assert.ok(!option(near.fd, SOL_SOCKET, SO_KEEPALIVE));
  near.onLost(() => {});
  assert.ok(option(near.fd, SOL_SOCKET, SO_KEEPALIVE));
  near.destroy();
  far.destroy();
});

test('a detached one has them at once', async () => {
  const { near, far } = await dialled(new FastEngine());
  assert.ok(near instanceof FastConnection);
  const { fd } = near;
  const stream = near.detach();
  assert.ok(option(fd, IPPROTO_TCP, TCP_NODELAY));
  assert.ok(option(fd, SOL_SOCKET, SO_KEEPALIVE));
  stream.destroy();
  far.destroy();
});
