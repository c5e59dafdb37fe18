import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  accepted,
  assertSame,
  closed,
  dialled,
  engines,
  gone,
  leavesNothing,
  read,
  received,
  sample,
  settled,
} from '../../../test/support/engines.ts';
import { closedPort, startBlackHole, startEcho } from '../../../test/support/targets.ts';
import type { Connection } from '../engine.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };
const TIMEOUT = { timeout: 60_000 };
const drop = (connection: Connection): void => connection.destroy();

leavesNothing();

for (const engine of engines) {
  suite(`${engine.name}: listen`, () => {
    for (const [at, dial] of [
      ['127.0.0.1', '127.0.0.1'],
      ['0.0.0.0', '127.0.0.3'],
      ['::1', '::1'],
      ['::', '::1'],
      ['::', '127.0.0.1'],
    ] as const) {
      test(`on ${at}, dialled at ${dial}: both ends have their addresses`, async () => {
        const arrival = Promise.withResolvers<Connection>();
        await using listener = await engine.listen({ host: at, port: 0 }, arrival.resolve, assert.fail);
        assert.equal(listener.local.host, at);
        const { port } = listener.local;
        const far = connect({ host: dial, port });
        await once(far, 'connect');
        const near = await arrival.promise;
        assert.deepEqual(near.local, { host: dial, port });
        assert.deepEqual(near.remote, { host: far.localAddress, port: far.localPort });
        near.destroy();
        far.destroy();
      });
    }

    test('a port in use is refused, and free again after close', async () => {
      const first = await engine.listen(LOOPBACK, drop, assert.fail);
      await assert.rejects(engine.listen(first.local, drop, assert.fail), { code: 'EADDRINUSE' });
      await first.close();
      await using second = await engine.listen(first.local, drop, assert.fail);
      assert.deepEqual(second.local, first.local);
    });

    test('an address of another machine is refused', async () => {
      const failing = engine.listen({ host: '192.0.2.1', port: 0 }, drop, assert.fail);
      await assert.rejects(failing, { code: 'EADDRNOTAVAIL' });
    });

    test('open connections outlive their listener', async () => {
      const { near, far } = await accepted(engine);
      near.write(Buffer.from('still here'));
      void near.closeGracefully(1000);
      assert.equal((await received(far)).toString(), 'still here');
      far.destroy();
    });

    test('a peer that resets before it is accepted affects no other', async () => {
      const good = Promise.withResolvers<Connection>();
      const see = (connection: Connection): void => {
        connection.read().then(
          (bytes) => bytes && good.resolve(connection),
          () => undefined, // one of those that reset
        );
      };
      await using listener = await engine.listen(LOOPBACK, see, assert.fail);
      for (let i = 0; i < 20; i++) {
        const far = connect(listener.local, () => far.resetAndDestroy());
      }
      const far = connect(listener.local, () => far.write('x'));
      (await good.promise).destroy();
      far.destroy();
    });
  });

  suite(`${engine.name}: connect`, () => {
    test('both ends have their addresses', async () => {
      const { near, far } = await dialled(engine);
      assert.deepEqual(near.local, { host: far.remoteAddress, port: far.remotePort });
      assert.deepEqual(near.remote, { host: far.localAddress, port: far.localPort });
      near.destroy();
      far.destroy();
    });

    test('IPv6', async () => {
      await using echo = await startEcho('::1');
      const near = await engine.connect({ host: '::1', port: echo.port }, TIMEOUT);
      assert.deepEqual(near.remote, { host: '::1', port: echo.port });
      near.destroy();
    });

    test('from a chosen address', async () => {
      let from: string | undefined;
      await using echo = await startEcho('127.0.0.1', (socket) => (from = socket.remoteAddress));
      const near = await engine.connect(echo, { ...TIMEOUT, from: '127.0.0.2' });
      assert.equal(near.local.host, '127.0.0.2');
      near.write(Buffer.from('x'));
      await near.read();
      assert.equal(from, '127.0.0.2');
      near.destroy();
    });

    test('from an address of another machine', async () => {
      await using echo = await startEcho();
      await assert.rejects(engine.connect(echo, { ...TIMEOUT, from: '192.0.2.1' }), {
        code: 'EADDRNOTAVAIL',
      });
    });

    test('no listener', async () => {
      const to = { host: '127.0.0.1', port: await closedPort() };
      await assert.rejects(engine.connect(to, TIMEOUT), { code: 'ECONNREFUSED' });
    });

    test('no answer: the time-out, or the signal', async () => {
      await using hole = await startBlackHole();
      const start = performance.now();
      await assert.rejects(engine.connect(hole, { timeout: 300 }), { code: 'ETIMEDOUT' });
      assert.ok(performance.now() - start >= 295, 'too early');

      const aborting = new AbortController();
      const reason = new Error('changed my mind');
      const dialling = engine.connect(hole, { ...TIMEOUT, signal: aborting.signal });
      setTimeout(() => aborting.abort(reason), 50);
      await assert.rejects(dialling, (error) => error === reason);
      await assert.rejects(
        engine.connect(hole, { ...TIMEOUT, signal: aborting.signal }),
        (error) => error === reason,
      );
    });

    test('a later signal changes nothing', async () => {
      const aborting = new AbortController();
      await using echo = await startEcho();
      const near = await engine.connect(echo, { ...TIMEOUT, signal: aborting.signal });
      aborting.abort();
      near.write(Buffer.from('x'));
      assert.equal((await read(near, 1)).toString(), 'x');
      near.destroy();
    });

    test('a target that resets at once', async () => {
      const { near, far } = await dialled(engine);
      far.resetAndDestroy();
      await assert.rejects(near.read(), { code: 'ECONNRESET' });
    });
  });

  suite(`${engine.name}: read`, () => {
    test('one byte at a time, then the end, again and again', async () => {
      const { near, far } = await accepted(engine);
      for (const byte of Buffer.from('bytes')) {
        far.write(Buffer.of(byte));
        assert.deepEqual([...(await read(near, 1))], [byte]);
      }
      far.end();
      assert.equal(await near.read(), undefined);
      assert.equal(await near.read(), undefined);
      near.destroy();
      far.destroy();
    });

    test('unread bytes come first, the last ones unread before the others', async () => {
      const { near, far } = await accepted(engine);
      far.end('one two three');
      assert.equal((await read(near, 13)).toString(), 'one two three');
      near.unread(Buffer.from('three'));
      near.unread(Buffer.of());
      near.unread(Buffer.from('two '));
      assert.equal((await read(near, 9)).toString(), 'two three');
      assert.equal(await near.read(), undefined);
      near.destroy();
      far.destroy();
    });

    test('unread data is held back, and all of it arrives when it is read', async () => {
      const data = sample(64 << 20, 1);
      const { near, far } = await accepted(engine);
      const before = process.memoryUsage().rss;
      let flushed = 0;
      for (let i = 0; i < data.length; i += 65_536) {
        far.write(data.subarray(i, i + 65_536), () => (flushed += 65_536));
      }
      far.end();
      const held = await settled(() => flushed);
      assert.ok(held < 40 << 20, `the sender got rid of ${held} bytes`);
      assert.ok(process.memoryUsage().rss - before < 32 << 20, 'memory grows');
      assertSame(await read(near, data.length), data);
      assert.equal(await near.read(), undefined);
      near.destroy();
      far.destroy();
    });

    test('a reset rejects a waiting read', async () => {
      const { near, far } = await accepted(engine);
      const reading = near.read();
      far.resetAndDestroy();
      await assert.rejects(reading, { code: 'ECONNRESET' });
    });

    test('a reset rejects it, after what came before', async () => {
      const { near, far } = await accepted(engine);
      const told = losses(near);
      far.write('last words');
      far.resetAndDestroy();
      await until(() => told.length > 0);
      assert.equal((await read(near, 10)).toString(), 'last words');
      await assert.rejects(near.read(), { code: 'ECONNRESET' });
    });

    test('a reset while more is held back rejects it, after the first of the data', async () => {
      const { near, far } = await accepted(engine);
      const data = sample(8 << 20, 4);
      let flushed = 0;
      for (let i = 0; i < data.length; i += 65_536) {
        far.write(data.subarray(i, i + 65_536), () => (flushed += 65_536));
      }
      await settled(() => flushed);
      far.resetAndDestroy();
      const chunks: Uint8Array[] = [];
      const drain = async (): Promise<void> => {
        for (let chunk = await near.read(); chunk !== undefined; chunk = await near.read())
          chunks.push(chunk);
      };
      await assert.rejects(drain, { code: 'ECONNRESET' });
      const bytes = Buffer.concat(chunks);
      assert.ok(bytes.length > 32_768, `${bytes.length} bytes`);
      assertSame(bytes, data.subarray(0, bytes.length));
    });

    test('destroy rejects it with the reason', async () => {
      const { near, far } = await accepted(engine);
      const reading = near.read();
      const reason = new Error('enough');
      near.destroy(reason);
      await assert.rejects(reading, (error) => error === reason);
      await assert.rejects(near.read(), (error) => error === reason);
      await received(far);
      far.destroy();
    });
  });

  suite(`${engine.name}: write, finish and destroy`, () => {
    test('the buffer may be reused at once', async () => {
      const { near, far } = await accepted(engine);
      const buffer = new Uint8Array(1000);
      for (let i = 0; i < 5000; i++) near.write(buffer.fill(i));
      void near.closeGracefully(5000);
      const bytes = await received(far);
      assert.equal(bytes.length, 5_000_000);
      assert.equal(
        bytes.findIndex((byte, i) => byte !== (Math.floor(i / 1000) & 255)),
        -1,
      );
      far.destroy();
    });

    test('writing to a lost connection is ignored', async () => {
      const { near, far } = await accepted(engine);
      far.resetAndDestroy();
      await assert.rejects(near.read());
      near.write(Buffer.from('anybody?'));
      void near.closeGracefully(1000);
      near.destroy();
    });

    test('finish: the reply arrives although the peer sent data that was not read', async () => {
      const { near, far } = await accepted(engine);
      const reply = received(far);
      far.write(sample(1 << 20, 2));
      await read(near, 10);
      near.write(Buffer.from('reply'));
      void near.closeGracefully(10_000);
      assert.equal((await reply).toString(), 'reply');
      // It keeps reading until the peer ends, and then closes.
      far.end(sample(1 << 20, 3));
      await closed(far);
      assert.equal(far.errored, null);
    });

    test('finish: a peer that does not end is disconnected after the linger time', async () => {
      const { near, far } = await accepted(engine);
      near.write(Buffer.from('reply'));
      const start = performance.now();
      void near.closeGracefully(200);
      assert.equal((await received(far)).toString(), 'reply');
      await gone(far);
      assert.ok(performance.now() - start >= 195, 'too early');
    });

    test('destroy cuts off what finish has not sent yet', async () => {
      const { near, far } = await accepted(engine);
      near.write(sample(24 << 20, 5));
      void near.closeGracefully(10_000);
      await delay(50);
      near.destroy();
      await assert.rejects(received(far), { code: 'ECONNRESET' });
    });

    test('destroy closes at once', async () => {
      const { near, far } = await accepted(engine);
      near.destroy();
      assert.equal((await received(far)).length, 0);
      far.destroy();
    });
  });

  suite(`${engine.name}: onLost`, () => {
    test('a reset without a reader, once', async () => {
      const { near, far } = await accepted(engine);
      const told = losses(near);
      far.write('something unread');
      far.resetAndDestroy();
      await until(() => told.length > 0);
      near.destroy();
      await delay(50);
      assert.deepEqual(told, ['ECONNRESET']);
    });

    test('the end of the peer is reported without an error', async () => {
      const { near, far } = await accepted(engine);
      const told = losses(near);
      far.end();
      await until(() => told.length > 0);
      assert.deepEqual(told, [undefined]);
      near.destroy();
      far.destroy();
    });

    test('destroy is reported with its reason', async () => {
      const { near, far } = await accepted(engine);
      const told = losses(near);
      const reason = new Error('enough');
      near.destroy(reason);
      await until(() => told.length > 0);
      assert.deepEqual(told, [reason]);
      far.destroy();
    });

    test('an earlier loss is reported soon', async () => {
      const { near, far } = await accepted(engine);
      far.resetAndDestroy();
      await assert.rejects(near.read());
      const told = losses(near);
      await until(() => told.length > 0);
      assert.deepEqual(told, ['ECONNRESET']);
    });

    test('not while a read waits, which rejects itself', async () => {
      const { near, far } = await accepted(engine);
      const told = losses(near);
      const reading = near.read();
      far.resetAndDestroy();
      await assert.rejects(reading);
      await delay(50);
      assert.deepEqual(told, []);
    });

    test('not for an earlier loss, when the connection is finished or detached at once', async () => {
      for (const leave of [
        (near: Connection) => void near.closeGracefully(1000),
        (near: Connection) => void near.detach().destroy(),
      ]) {
        const { near, far } = await accepted(engine);
        far.end();
        assert.equal(await near.read(), undefined);
        const told = losses(near);
        leave(near);
        await delay(20);
        assert.deepEqual(told, []);
        far.destroy();
      }
    });

    test('not after finish', async () => {
      const { near, far } = await accepted(engine);
      const told = losses(near);
      void near.closeGracefully(1000);
      far.resetAndDestroy();
      await delay(100);
      assert.deepEqual(told, []);
    });
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(10);
}

/** The calls of `onLost`, in order. */
function losses(connection: Connection): unknown[] {
  const told: unknown[] = [];
  connection.onLost((error) => told.push(error && 'code' in error ? error.code : error));
  return told;
}
