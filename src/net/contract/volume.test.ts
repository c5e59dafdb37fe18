import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { suite, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  accepted,
  assertSame,
  dialled,
  engines,
  join,
  leavesNothing,
  sample,
} from '../../../test/support/engines.ts';
import { sized } from '../../../test/support/size.ts';
import type { Engine } from '../engine.ts';

const MIB = 1 << 20;
/** Bytes each way, for all flows together. */
const VOLUME = sized(1024 * MIB, 64 * MIB);
/** Memory allowed for the sockets of 64 flows, for the measurement itself, and for uncollected heap. */
const MEMORY = 192 * MIB;
/** Sent repeatedly by the far ends; its length is prime, so that no lost piece goes unnoticed. */
const PATTERN = sample(1_000_003, 9);
const EARLY = 5000;

leavesNothing();

for (const engine of engines) {
  suite(
    `${engine.name}: ${VOLUME / MIB} MiB each way, byte for byte, with early bytes and half-closes`,
    () => {
      test('in one flow', async (t) => {
        await memoryStays(t, () => flow(engine, VOLUME, 'both read'));
      });

      test('in 64 flows at once; every eighth is not read for three seconds', async (t) => {
        const flows = Array.from({ length: 64 }, (_, i) => (i % 8 === 0 ? 'both stall' : 'both read'));
        await memoryStays(t, () => Promise.all(flows.map((readers) => flow(engine, VOLUME / 64, readers))));
      });

      test('held bytes are reported, from the first byte on and while waiting for bandwidth', async () => {
        const client = await accepted(engine);
        client.near.unread(PATTERN.subarray(0, EARLY));
        assert.ok(client.near.held >= EARLY, `${client.near.held} bytes of a connection`);
        const sendPace = { waits: true, ask() {}, leave() {} };
        using joined = join(engine, client, await dialled(engine), { sendPace });
        assert.ok(joined.relay.held >= EARLY, `${joined.relay.held} bytes of a relay`);
      });
    },
  );
}

/** This many bytes each way; the client ends first, and the target half a second after it sees that. */
async function flow(engine: Engine, bytes: number, readers: 'both read' | 'both stall'): Promise<void> {
  const client = await accepted(engine);
  const target = await dialled(engine);
  client.near.unread(PATTERN.subarray(0, EARLY));
  target.near.unread(PATTERN.subarray(0, EARLY));
  using joined = join(engine, client, target);
  const { relay, ended } = joined;
  const patience = readers === 'both stall' ? 3000 : 0;
  const up = send(joined.client, EARLY, bytes).then(() => joined.client.end());
  const down = send(joined.target, EARLY, bytes);
  const atClient = compare(joined.client, bytes, patience);
  await Promise.all([up, down, compare(joined.target, bytes, patience)]);
  await delay(500);
  joined.target.end();
  await atClient;
  assert.deepEqual(await ended, { by: 'client' });
  assert.deepEqual([relay.sent, relay.received], [bytes, bytes]);
}

/** Sends the pattern from one position to another, as fast as it is taken. */
async function send(far: Socket, from: number, to: number): Promise<void> {
  for (let at = from; at < to;) {
    const start = at % PATTERN.length;
    const piece = PATTERN.subarray(start, Math.min(start + 65_536, start + to - at));
    at += piece.length;
    if (!far.write(piece)) await once(far, 'drain');
  }
}

/** Reads to the end, which must follow after this many bytes of the pattern. */
async function compare(far: Socket, bytes: number, patience: number): Promise<void> {
  await delay(patience);
  let at = 0;
  for await (const chunk of far.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    for (let done = 0; done < chunk.length;) {
      const start = (at + done) % PATTERN.length;
      const expected = PATTERN.subarray(start, start + chunk.length - done);
      const piece = chunk.subarray(done, done + expected.length);
      if (!piece.equals(expected)) assertSame(piece, expected);
      done += piece.length;
    }
    at += chunk.length;
  }
  assert.equal(at, bytes);
}

async function memoryStays(t: TestContext, work: () => Promise<unknown>): Promise<void> {
  const before = process.memoryUsage.rss();
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 50);
  const began = performance.now();
  await work().finally(() => clearInterval(watch));
  const grown = Math.round((most - before) / MIB);
  t.diagnostic(`${((performance.now() - began) / 1000).toFixed(1)} s, memory grew by ${grown} MiB`);
  assert.ok(most - before < MEMORY, `memory grew by ${grown} MiB`);
}
