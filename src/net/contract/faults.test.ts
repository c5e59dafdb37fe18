import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { suite, test } from 'node:test';
import { setImmediate as immediate, setTimeout as delay } from 'node:timers/promises';
import {
  accepted,
  closed,
  dialled,
  engines,
  flood,
  join,
  leavesNothing,
  read,
  relayed,
  settled,
  startRelay,
} from '../../../test/support/engines.ts';
import { closedPort, startBlackHole, startTarget } from '../../../test/support/targets.ts';
import { check } from '../../../test/support/process.ts';
import { descriptors, untilDescriptors } from '../../../test/support/usage.ts';
import type { Connection, Engine, RelayEnd } from '../engine.ts';

/** The errors of a failed side, found by reading or by writing. */
const RESET_CODES: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);
const LIMITS = { idle: 10_000, halfClose: 10_000, duration: 0 };

leavesNothing();

for (const engine of engines) {
  suite(`${engine.name}: resets`, () => {
    for (const side of ['client', 'target'] as const) {
      const ends = (relayed_: { client: Socket; target: Socket }): [Socket, Socket] =>
        side === 'client' ? [relayed_.client, relayed_.target] : [relayed_.target, relayed_.client];

      test(`the ${side} resets while the relay is quiet`, async () => {
        using joined = await relayed(engine);
        const [resetting, other] = ends(joined);
        other.resume();
        resetting.resetAndDestroy();
        assert.deepEqual(await joined.ended, { by: side, error: 'ECONNRESET' });
        await assertReset(other);
      });

      test(`the ${side} resets while it sends`, async () => {
        using joined = await relayed(engine);
        const [resetting, other] = ends(joined);
        const supply = flood(resetting);
        await once(other, 'data');
        resetting.resetAndDestroy();
        supply.stop();
        assertFailed(await joined.ended, side);
        await assertReset(other);
      });

      test(`the ${side} resets while it receives`, async () => {
        using joined = await relayed(engine);
        const [resetting, other] = ends(joined);
        const supply = flood(other);
        await once(resetting, 'data');
        resetting.resetAndDestroy();
        assertFailed(await joined.ended, side);
        await assertReset(other);
        supply.stop();
      });

      test(`the ${side} resets while it reads nothing and the other is held back`, async () => {
        using joined = await relayed(engine);
        const [resetting, other] = ends(joined);
        const supply = flood(other);
        await settled(() => joined.relay[side === 'client' ? 'received' : 'sent']);
        resetting.resetAndDestroy();
        assertFailed(await joined.ended, side);
        await assertReset(other);
        supply.stop();
      });

      test(`the ${side} resets while it is held back: the other gets what came before, and notices it`, async () => {
        using joined = await relayed(engine);
        const [resetting, other] = ends(joined);
        const counter = side === 'client' ? 'sent' : 'received';
        const supply = flood(resetting);
        await settled(() => joined.relay[counter]);
        resetting.resetAndDestroy();
        supply.stop();
        await delay(100);
        const before = joined.relay[counter];
        assert.ok(before > 0);
        await assertReset(other);
        assertFailed(await joined.ended, side);
        assert.ok(joined.relay[counter] >= before);
      });

      test(`the ${side} resets after ending its direction`, async () => {
        using joined = await relayed(engine);
        const [resetting, other] = ends(joined);
        resetting.end('question');
        await once(other.resume(), 'end');
        resetting.resetAndDestroy();
        const writing = setInterval(() => other.write('answer'), 20);
        await closed(other);
        clearInterval(writing);
        assertFailed(await joined.ended, side);
      });

      test(`the ${side} was lost before the relay began`, async () => {
        const client = await accepted(engine);
        const target = await dialled(engine);
        const [lost, other] = side === 'client' ? [client, target] : [target, client];
        lost.far.resetAndDestroy();
        await assert.rejects(lost.near.read(), { code: 'ECONNRESET' });
        using joined = join(engine, client, target);
        assert.deepEqual(await joined.ended, { by: side, error: 'ECONNRESET' });
        await assertReset(other.far);
      });
    }

    test('both were lost before the relay began', async () => {
      const client = await accepted(engine);
      const target = await dialled(engine);
      client.far.resetAndDestroy();
      target.far.resetAndDestroy();
      await assert.rejects(client.near.read());
      await assert.rejects(target.near.read());
      using joined = join(engine, client, target);
      assertFailed(await joined.ended, 'client');
    });

    test('a storm of 200, in every phase, leaves nothing behind', async () => {
      // The first round opens what an engine opens only once.
      await storm(engine, 10);
      const before = await descriptors(process.pid);
      const ends = await storm(engine, 200);
      assert.ok(ends.some(({ by }) => by === 'client') && ends.some(({ by }) => by === 'target'));
      await untilDescriptors(before);
    });
  });

  suite(`${engine.name}: nothing is left`, () => {
    test('after connections with every kind of end', async () => {
      const before = await descriptors(process.pid);
      for (let i = 0; i < 5; i++) {
        const orderly = await relayed(engine);
        orderly.client.end();
        orderly.target.end();
        orderly.client.resume();
        orderly.target.resume();
        await orderly.ended;

        const finished = await accepted(engine);
        void finished.near.closeGracefully(10_000);
        finished.far.resume().end();

        const destroyed = await dialled(engine);
        destroyed.near.destroy();
        destroyed.far.resume().end();

        const detached = await accepted(engine);
        detached.near.detach().destroy();
        detached.far.resume().end();
      }
      await untilDescriptors(before);
    });

    test('after relays that were cut with an end of stream in transit', async () => {
      const before = await descriptors(process.pid);
      for (let i = 0; i < 40; i++) {
        using joined = await relayed(engine);
        joined.client.end('x');
        // During these turns the end of stream passes from one socket to the other.
        for (let turn = 0; turn < i / 2; turn++) await immediate();
        joined.relay.abort();
        assert.deepEqual(await joined.ended, { by: 'abort' });
      }
      await untilDescriptors(before);
    });

    test('that would keep a process alive', async () => {
      const script = `
        import { engines, relayed } from '${import.meta.resolve('../../../test/support/engines.ts')}';
        const engine = engines.find(({ name }) => name === '${engine.name}');
        const joined = await relayed(engine, { idle: 60_000, halfClose: 60_000, duration: 60_000 });
        const socket = await engine.udp({ host: '127.0.0.1', port: 0 }, { received() {}, failed() {} });
        joined[Symbol.dispose]();
        socket.close();
        await joined.ended;
        console.log('closed');`;
      const command = [process.execPath, '--input-type=module', '-e', script];
      assert.equal(await check(command), 'closed\n');
    });

    test('after refused, late and aborted dials', async () => {
      const port = await closedPort();
      await using hole = await startBlackHole();
      const before = await descriptors(process.pid);
      for (let i = 0; i < 5; i++) {
        await assert.rejects(engine.connect({ host: '127.0.0.1', port }, { timeout: 1000 }));
        await assert.rejects(engine.connect(hole, { timeout: 10 }));
        await assert.rejects(engine.connect(hole, { timeout: 1000, signal: AbortSignal.timeout(10) }));
      }
      await untilDescriptors(before);
    });
  });
}

/** Many relays whose ends reset at different moments; returns how they ended. */
async function storm(engine: Engine, count: number): Promise<RelayEnd[]> {
  let phase = 0;
  const ends: RelayEnd[] = [];
  const handled: Promise<void>[] = [];
  await using target = await startTarget((socket) => {
    const mine = phase++ % 5;
    if (mine === 0) socket.resetAndDestroy();
    else if (mine === 1) socket.once('data', () => socket.resetAndDestroy());
    else socket.pipe(socket);
  });
  const handle = async (client: Connection): Promise<void> => {
    try {
      client.unread(await read(client, 1));
      const far = await engine.connect(target, { timeout: 5000 });
      ends.push(await startRelay(engine, client, far, LIMITS).ended);
    } catch {
      client.destroy(); // the other end was faster
    }
  };
  const all = (client: Connection): void => void handled.push(handle(client));
  await using listener = await engine.listen({ host: '127.0.0.1', port: 0 }, all, assert.fail);
  const clients = Array.from({ length: count }, async (_, i) => {
    const client = connect({ ...listener.local });
    client.on('error', () => undefined); // expected here
    client.on('connect', () => {
      if (i % 4 === 0) client.resetAndDestroy();
      client.write('x'.repeat(1 + (i % 3) * 50_000));
      if (i % 4 === 1) client.resetAndDestroy();
    });
    client.on('data', () => i % 4 === 2 && client.resetAndDestroy());
    if (i % 4 === 3) client.once('data', () => client.end());
    await closed(client);
  });
  await Promise.all(clients);
  await Promise.all(handled);
  return ends;
}

function assertFailed({ by, error }: RelayEnd, side: 'client' | 'target'): void {
  assert.equal(by, side);
  assert.ok(RESET_CODES.has(String(error)), `${error}`);
}

/** Asserts that a far end sees a truncated stream. */
async function assertReset(far: Socket): Promise<void> {
  far.resume();
  await closed(far);
  assert.ok(far.errored && 'code' in far.errored && RESET_CODES.has(String(far.errored.code)));
}
