import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as immediate, setTimeout as delay } from 'node:timers/promises';
import { accepted, engines, flood, leavesNothing } from '../../../test/support/engines.ts';
import type { UdpSocket } from '../engine.ts';

const MIB = 1 << 20;
const LOOPBACK = { host: '127.0.0.1', port: 0 };

leavesNothing();

for (const engine of engines) {
  suite(`${engine.name}: others get their turn`, () => {
    test('while everything a peer sends is read', async () => {
      const { near, far } = await accepted(engine);
      const supply = flood(far);
      await delay(500);
      const told: number[] = [];
      let size = 0;
      const over = new AbortController();
      const others = async (): Promise<void> => {
        for (let before = 0; !over.signal.aborted; before = size) {
          await immediate();
          told.push(size - before);
        }
      };
      const telling = others();
      while (size < 32 * MIB) size += (await near.read())!.length;
      over.abort();
      supply.stop();
      near.destroy();
      far.destroy();
      await telling;
      assert.ok(Math.max(...told) <= 2 * MIB, `${Math.max(...told)} bytes were read in one turn`);
    });

    test('while datagrams come faster than they can be handled', async () => {
      let count = 0;
      await using stack = new AsyncDisposableStack();
      const far: UdpSocket = stack.use(await engine.udp(LOOPBACK, { received() {}, failed() {} }));
      const fill = (): void => {
        for (let i = 0; i < 100; i++) far.send(new Uint8Array(10), 0, 10, to);
      };
      // Each of the first triggers as many as there is room for.
      const near: UdpSocket = stack.use(
        await engine.udp(LOOPBACK, { received: () => void (++count % 50 === 0 && fill()), failed() {} }),
      );
      const to = far.peer(near.local);
      for (let i = 0; i < 10; i++) fill();
      const told: number[] = [];
      for (let before = 0; told.length < 60; before = count) {
        await immediate();
        told.push(count - before);
      }
      near.close();
      const late = Math.max(...told.slice(30));
      // Its share does not grow with time.
      assert.ok(late <= 400, `${told.join(' ')} datagrams`);
    });
  });
}
