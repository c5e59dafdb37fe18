import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CLIENT, Scene } from '../../../test/fuzz/association-scene.ts';
import { Log } from '../../audit/log.ts';
import { addressOf } from '../../wire/address.ts';
import { concat } from '../../wire/bytes.ts';
import { encodeUdpHeader } from '../../wire/udp.ts';
import { Associations } from './associations.ts';
import { MemoryWatch } from './memory.ts';
import { OwnPorts } from '../listen/own-ports.ts';

const ports = new OwnPorts();
const BUDGET = 100_000;

function hear(scene: Scene, host: string, port: number, data: Uint8Array = Uint8Array.of(1)): void {
  const header = encodeUdpHeader({ fragment: 0, address: addressOf(host, port) });
  scene.hear(concat(header, data), { host: CLIENT, port: 5000 });
}

async function use(scene: Scene, ...peers: readonly number[]): Promise<void> {
  for (const port of peers) hear(scene, '203.0.113.1', port);
  await scene.settle();
}

/** Whether an answer of this peer reaches the client. */
function mayAnswer(scene: Scene, association: { readonly received: number }, port: number): boolean {
  const before = association.received;
  scene.answer(Uint8Array.of(1), { host: '203.0.113.1', port });
  return association.received > before;
}

suite('the associations of a thread', () => {
  test('beyond the budget, the largest association forgets its least recently used destinations', async () => {
    const scene = new Scene('peers', 0, ports, new Associations(() => BUDGET));
    const other = new Scene('peers', 0, ports, scene.associations);
    const [small, large] = [await scene.open(), await other.open()];
    await use(scene, 1000, 1001);
    for (let port = 2000; port < 2300; port += 50) {
      await use(other, ...Array.from({ length: 50 }, (_, i) => port + i));
      await use(other, 2000);
      assert.ok(scene.associations.held <= BUDGET, `${scene.associations.held} bytes`);
    }
    assert.deepEqual(
      [1000, 1001].map((port) => mayAnswer(scene, small, port)),
      [true, true],
    );
    assert.deepEqual(
      [2000, 2001, 2299].map((port) => mayAnswer(other, large, port)),
      [true, false, true],
      'the one that is in use stays, and so does the newest',
    );
    for (const association of [small, large]) association.close();
    assert.equal(scene.associations.held, 0);
  });

  test('when memory is short, destinations are forgotten first, then the largest session ends', async () => {
    const scene = new Scene('peers', 0, ports, new Associations(() => Infinity));
    const waits = new Scene('peers', 0, ports, scene.associations);
    const [association, waiting] = [await scene.open(), await waits.open()];
    const log = new Log({ level: 'error', format: 'text', to: [] });
    const sessions = { size: 1000, [Symbol.iterator]: () => [scene.session, waits.session].values() };
    const forget = (bytes: number): number => scene.associations.forget(bytes);
    using memory = new MemoryWatch(10_000_000, sessions, log, {
      forget,
      use: () => ({ share: 2, of: 10_000_000 }),
    });
    await use(scene, ...Array.from({ length: 60 }, (_, i) => 1000 + i));
    for (let i = 0; i < 64; i++) hear(waits, `n${i}.silent.test`, 1000, new Uint8Array(1500));
    assert.ok(waiting.held > 64 * 1500 && association.held > 60 * 500);
    memory.look();
    assert.equal(association.held, 0);
    assert.equal(scene.ended, undefined);
    assert.equal(waits.ended, 'limit:relay:memory');
    await use(scene, 1000);
    assert.ok(mayAnswer(scene, association, 1000), 'it goes on');
    for (const one of [association, waiting]) one.close();
    assert.equal(scene.associations.held, 0);
  });

  test('idle destinations are forgotten in time, and unused sockets closed', async () => {
    const scene = new Scene('peers', 0, ports);
    const association = await scene.open();
    await use(scene, 1000);
    const silent = performance.now();
    await delay(20);
    hear(scene, '2001:db8::1', 1000);
    hear(scene, '203.0.113.13', 1000);
    await scene.settle();
    const [, first, second] = scene.engine.sockets;
    association.look(silent + 180_010);
    assert.deepEqual([first!.isClosed, second!.isClosed], [true, false]);
    assert.ok(association.held < 2 * 700, `${association.held} bytes of one destination`);
    assert.ok(!mayAnswer(scene, association, 1000));
    await use(scene, 1000);
    assert.ok(scene.engine.sockets.length > 3, 'it has a socket again');
    assert.equal(scene.ended, undefined);
    association.look(silent + 380_000);
    assert.equal(scene.ended, 'timeout:relay:idle');
    association.close();
  });

  test('beyond the budget, nothing is admitted that cannot be forgotten', async () => {
    const scene = new Scene('peers', 0, ports, new Associations(() => BUDGET));
    const association = await scene.open();
    for (let i = 0; i < 64; i++) hear(scene, `n${i}.silent.test`, 1000, new Uint8Array(1500));
    for (let i = 1; i < 100; i++) {
      const header = encodeUdpHeader({ fragment: i, address: addressOf('203.0.113.1', 1000) });
      scene.hear(concat(header, new Uint8Array(600)), { host: CLIENT, port: 5000 });
    }
    assert.ok(scene.associations.held <= BUDGET + 600, `${scene.associations.held} bytes`);
    assert.ok(association.counts.overflow > 50);
    association.close();
    assert.equal(scene.associations.held, 0);
  });
});
