import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  accepted,
  assertSame,
  closed,
  dialled,
  engines,
  flood,
  gone,
  join,
  leavesNothing,
  NO_LIMITS,
  read,
  received,
  relayed,
  sample,
} from '../../../test/support/engines.ts';
import { Bandwidth } from '../../limits/bandwidth.ts';
import type { Pace, Paced, RelayEnd } from '../engine.ts';
import { Shaper } from '../shaper.ts';

const MIB = 1 << 20;
const IN_FLIGHT = 100_000;

leavesNothing();

for (const engine of engines) {
  suite(`${engine.name}: relay`, () => {
    test('both directions at once, byte for byte, early bytes first', async () => {
      const up = sample(32 * MIB, 1);
      const down = sample(40 * MIB, 2);
      const client = await accepted(engine);
      const target = await dialled(engine);
      const atTarget = received(target.far);
      const atClient = received(client.far);
      client.far.end(up);
      target.far.end(down);
      // A handshake has consumed some bytes, and read more than it could use.
      assertSame(await read(client.near, 5000), up.subarray(0, 5000));
      assertSame(await read(target.near, 10), down.subarray(0, 10));
      client.near.unread(up.subarray(4000, 5000));
      using joined = join(engine, client, target);
      assertSame(await atTarget, up.subarray(4000));
      assertSame(await atClient, down.subarray(10));
      assert.equal((await joined.ended).error, undefined);
      assert.equal(joined.relay.sent, up.length - 4000);
      assert.equal(joined.relay.received, down.length - 10);
    });

    test('a reply written just before the relay arrives first', async () => {
      const client = await accepted(engine);
      const target = await dialled(engine);
      const atClient = received(client.far);
      target.far.write('220 ready\r\n');
      await read(target.near, 11);
      target.near.unread(Buffer.from('220 ready\r\n'));
      client.near.write(Buffer.from('reply '));
      using joined = join(engine, client, target);
      target.far.end();
      client.far.end();
      assert.equal((await atClient).toString(), 'reply 220 ready\r\n');
      assert.deepEqual(await joined.ended, { by: 'target' });
      assert.equal(joined.relay.received, 11);
    });

    test('the target speaks first, and many small messages go to and fro', async () => {
      using joined = await relayed(engine);
      const { client, target } = joined;
      target.write('0');
      target.on('data', (chunk: Buffer) => target.write(String(Number(chunk) + 1)));
      client.on('data', (chunk: Buffer) => client.write(chunk));
      client.on('data', (chunk: Buffer) => Number(chunk) === 2000 && client.end());
      await once(target, 'end');
      target.end();
      assert.deepEqual(await joined.ended, { by: 'client' });
    });

    for (const first of ['client', 'target'] as const) {
      test(`the ${first} ends first with bytes in flight; the other can still send`, async () => {
        using joined = await relayed(engine);
        const [a, b] = first === 'client' ? [joined.client, joined.target] : [joined.target, joined.client];
        const question = sample(IN_FLIGHT, 3);
        const answer = sample(IN_FLIGHT, 4);
        const atA = received(a);
        const atB = received(b);
        a.end(question);
        assertSame(await atB, question);
        await delay(200);
        b.end(answer);
        assertSame(await atA, answer);
        assert.deepEqual(await joined.ended, { by: first });
        assert.equal(joined.relay.sent, IN_FLIGHT);
        assert.equal(joined.relay.received, IN_FLIGHT);
      });
    }

    test('both have ended before it begins', async () => {
      const client = await accepted(engine);
      const target = await dialled(engine);
      const data = sample(IN_FLIGHT, 5);
      const atTarget = received(target.far);
      const atClient = received(client.far);
      client.far.end(data);
      target.far.end();
      client.near.unread(await read(client.near, IN_FLIGHT));
      assert.equal(await target.near.read(), undefined);
      using joined = join(engine, client, target);
      assertSame(await atTarget, data);
      assert.equal((await atClient).length, 0);
      assert.equal((await joined.ended).error, undefined);
      assert.equal(joined.relay.sent, IN_FLIGHT);
    });

    test('an end behind bytes that are not yet taken waits for them', async () => {
      using joined = await relayed(engine);
      const data = sample(24 * MIB, 6);
      joined.target.end(data);
      await delay(500);
      assertSame(await received(joined.client), data);
      joined.client.end();
      assert.deepEqual(await joined.ended, { by: 'target' });
      assert.equal(joined.relay.received, data.length);
    });

    for (const slow of ['client', 'target'] as const) {
      test(`a ${slow} that does not read holds the other back, in bounded memory`, async () => {
        using joined = await relayed(engine);
        const [reader, sender] =
          slow === 'client' ? [joined.client, joined.target] : [joined.target, joined.client];
        const passed = (): number => (slow === 'client' ? joined.relay.received : joined.relay.sent);
        const before = process.memoryUsage();
        const supply = flood(sender);
        await delay(2000);
        const stalledAt = passed();
        await delay(500);
        const after = process.memoryUsage();
        assert.equal(passed(), stalledAt, 'bytes are taken that nobody can take');
        assert.ok(after.rss - before.rss < 64 * MIB, `rss grew by ${after.rss - before.rss}`);
        assert.ok(after.external - before.external < 16 * MIB, `${after.external - before.external} held`);
        assert.ok(supply.sent() < 128 * MIB, `the sender got rid of ${supply.sent()} bytes`);
        supply.stop();
        sender.end();
        let count = 0;
        reader.on('data', (chunk: Buffer) => (count += chunk.length));
        await once(reader, 'end');
        reader.end();
        assert.equal((await joined.ended).error, undefined);
        assert.equal(count, supply.sent());
        assert.equal(passed(), count);
      });
    }

    test('the counters advance while it runs', async () => {
      using joined = await relayed(engine);
      joined.client.write('question');
      await once(joined.target, 'data');
      assert.equal(joined.relay.sent, 8);
      assert.equal(joined.relay.received, 0);
      joined.target.write('an answer');
      await once(joined.client, 'data');
      assert.equal(joined.relay.received, 9);
    });

    test('a pace holds each side back separately, and nothing is lost', async () => {
      const started = performance.now();
      // Waiting for bandwidth is not silence: the idle time-out is shorter than one chunk's wait.
      using joined = await relayed(engine, { idle: 1000, sendPace: paced(MIB), receivePace: paced(8 * MIB) });
      const [up, down] = [sample(3 * MIB, 1), sample(4 * MIB, 2)];
      joined.client.end(up);
      joined.target.end(down);
      const timed = async (far: Socket): Promise<readonly [Buffer, number]> => {
        const bytes = await received(far);
        return [bytes, performance.now() - started];
      };
      const [[sent, sentAfter], [got, gotAfter]] = await Promise.all([
        timed(joined.target),
        timed(joined.client),
      ]);
      assertSame(sent, up);
      assertSame(got, down);
      // Except for the last part of the data, and a burst of a tenth of a second.
      assert.ok(sentAfter > 2500, `${sentAfter} ms`);
      assert.ok(gotAfter > 300 && gotAfter < sentAfter, `${gotAfter} ms`);
      assert.equal((await joined.ended).error, undefined);
    });

    test('no byte is taken before its pace allows it, including early ones', async () => {
      const client = await accepted(engine);
      const data = sample(3000, 9);
      client.far.write(data.subarray(0, 2000));
      client.near.unread(await read(client.near, 2000));
      const [sendPace, receivePace] = [new Gate(), new Gate()];
      using joined = join(engine, client, await dialled(engine), { sendPace, receivePace });
      const atTarget = received(joined.target);
      joined.client.end(data.subarray(2000));
      await delay(100);
      assert.equal(joined.relay.sent, 0);
      for (let passed = 0; passed < data.length;) {
        const taken = await sendPace.grant(700);
        assert.ok(taken <= 700, `${taken} bytes taken`);
        passed += taken;
        assert.equal(joined.relay.sent, passed);
      }
      while (!joined.target.readableEnded) {
        if (sendPace.waits) assert.equal(await sendPace.grant(700), 0);
        await delay(10);
      }
      assertSame(await atTarget, data);
      joined.target.end();
      while ((await Promise.race([joined.ended, delay(10, undefined)])) === undefined) {
        if (receivePace.waits) await receivePace.grant(1);
      }
      assert.ok(sendPace.left && receivePace.left);
    });

    test('data that was taken but has no room is not taken twice', async () => {
      const sendPace = new Gate();
      using joined = await relayed(engine, { sendPace });
      const data = sample(24 * MIB, 10);
      joined.client.end(data);
      let taken = 0;
      // Until the target's buffers are full: then it no longer asks.
      while (await Promise.race([sendPace.asked().then(() => true), delay(300, false)]))
        taken += await sendPace.grant(65_536);
      assert.ok(taken < data.length, `all of ${taken} bytes fit`);
      const atTarget = received(joined.target);
      const ended = once(joined.target, 'end').then(() => false);
      while (await Promise.race([sendPace.asked().then(() => true), ended]))
        taken += await sendPace.grant(MIB);
      assertSame(await atTarget, data);
      assert.equal(taken, data.length);
    });

    for (const end of ['abort', 'a reset of the client'] as const) {
      test(`${end} ends a relay that waits for bandwidth`, async () => {
        const sendPace = new Gate();
        using joined = await relayed(engine, { sendPace });
        joined.client.write(sample(IN_FLIGHT / 10, 1));
        await sendPace.asked();
        if (end === 'abort') joined.relay.abort();
        else joined.client.resetAndDestroy();
        const { by } = await joined.ended;
        assert.equal(by, end === 'abort' ? 'abort' : 'client');
        assert.ok(sendPace.left);
        await cut(joined.target);
      });
    }

    test('its owner is notified once, after the caller has returned', async () => {
      const told: RelayEnd[] = [];
      const owner = { relayEnded: (end: RelayEnd) => void told.push(end) };
      const [first, second] = [await accepted(engine), await accepted(engine)];
      const [one, other] = [await dialled(engine), await dialled(engine)];
      engine.relay(first.near, one.near, NO_LIMITS, owner).abort();
      second.near.destroy();
      engine.relay(second.near, other.near, NO_LIMITS, owner).abort();
      assert.deepEqual(told, []);
      await delay(200);
      for (const { far } of [first, second, one, other]) far.destroy();
      assert.equal(told.length, 2);
    });

    test('abort closes both sides', async () => {
      using joined = await relayed(engine);
      joined.client.write('x');
      await once(joined.target, 'data');
      joined.relay.abort();
      assert.deepEqual(await joined.ended, { by: 'abort' });
      await Promise.all([cut(joined.client), cut(joined.target)]);
      joined.relay.abort();
      assert.equal(joined.relay.sent, 1);
    });

    test('abort while the ends of both streams are in transit', async () => {
      const client = await accepted(engine);
      const target = await dialled(engine);
      client.far.end();
      target.far.end();
      assert.equal(await client.near.read(), undefined);
      assert.equal(await target.near.read(), undefined);
      using joined = join(engine, client, target);
      joined.relay.abort();
      const { by } = await joined.ended;
      // There is nothing else to pass on, so it may already be over.
      assert.ok(by === 'abort' || by === 'client', by);
    });

    test('a stream cut with its end held back does not look complete', async () => {
      const client = await accepted(engine);
      const target = await dialled(engine);
      target.near.unread(sample(24 * MIB, 8));
      target.far.end();
      using joined = join(engine, client, target);
      await delay(200);
      joined.relay.abort();
      assert.deepEqual(await joined.ended, { by: 'abort' });
      await cut(joined.client);
    });

    for (const side of ['client', 'target'] as const) {
      test(`destroying the ${side} ends it as if that side had failed`, async () => {
        const client = await accepted(engine);
        const target = await dialled(engine);
        using joined = join(engine, client, target);
        (side === 'client' ? client : target).near.destroy();
        const over = [cut(joined.client), cut(joined.target)];
        const { by, error } = await joined.ended;
        assert.equal(by, side);
        assert.ok(error);
        await Promise.all(over);
      });
    }

    test('onLost stays silent and finish is ignored', async () => {
      const client = await accepted(engine);
      const target = await dialled(engine);
      target.near.onLost(assert.fail);
      client.near.onLost(assert.fail);
      using joined = join(engine, client, target);
      void client.near.closeGracefully(1);
      const atClient = received(client.far);
      client.far.end();
      await once(target.far.resume(), 'end');
      target.far.end('answer');
      assert.equal((await atClient).toString(), 'answer');
      assert.deepEqual(await joined.ended, { by: 'client' });
    });
  });

  suite(`${engine.name}: time-outs of a relay`, { concurrency: true }, () => {
    test('idle: counted from the last byte, in either direction', async () => {
      using joined = await relayed(engine, { idle: 1000 });
      joined.client.resume();
      joined.target.resume();
      let last = 0;
      for (let i = 0; i < 12; i++) {
        last = performance.now();
        (i % 2 ? joined.client : joined.target).write('x');
        await delay(250);
      }
      const over = [cut(joined.client), cut(joined.target)];
      assert.deepEqual(await joined.ended, { by: 'idle' });
      assert.ok(performance.now() - last >= 1000, 'too early');
      await Promise.all(over);
      assert.equal(joined.relay.sent + joined.relay.received, 12);
    });

    for (const first of ['client', 'target'] as const) {
      test(`half-close: the ${first} has ended and the other neither sends nor ends`, async () => {
        using joined = await relayed(engine, { halfClose: 1000 });
        const [a, b] = first === 'client' ? [joined.client, joined.target] : [joined.target, joined.client];
        const start = performance.now();
        a.end();
        await once(b.resume(), 'end');
        // Data that still arrives postpones it.
        let last = start;
        for (let i = 0; i < 6; i++) {
          last = performance.now();
          b.write('x');
          await delay(250);
        }
        assert.deepEqual(await joined.ended, { by: 'half-close' });
        assert.ok(performance.now() - last >= 1000, 'too early');
        await Promise.all([cut(a), gone(b)]);
      });
    }

    test('half-close does not run while both directions are open', async () => {
      using joined = await relayed(engine, { halfClose: 1000 });
      await delay(3500);
      const atTarget = received(joined.target);
      joined.client.end('still here');
      assert.equal((await atTarget).toString(), 'still here');
    });

    test('duration: however busy it is', async () => {
      using joined = await relayed(engine, { duration: 1000 });
      const start = performance.now();
      flood(joined.client);
      joined.target.resume();
      assert.deepEqual(await joined.ended, { by: 'duration' });
      assert.ok(performance.now() - start >= 1000, 'too early');
      await Promise.all([cut(joined.client), cut(joined.target)]);
    });

    test('waiting for bandwidth is not silence', async () => {
      const sendPace = new Gate();
      using joined = await relayed(engine, { idle: 1000, halfClose: 1000, sendPace });
      joined.target.end();
      joined.client.write('x');
      await delay(4000);
      assert.equal(await sendPace.grant(1), 1);
      const [chunk] = await once(joined.target, 'data');
      assert.equal(String(chunk), 'x');
    });

    test('a relay that is held back is idle', async () => {
      using joined = await relayed(engine, { idle: 1000 });
      flood(joined.client);
      assert.deepEqual(await joined.ended, { by: 'idle' });
    });
  });
}

/** Waits until a far end is closed, and asserts that it does not see a normal end. */
async function cut(far: Socket): Promise<void> {
  far.resume();
  await closed(far);
  assert.equal(far.errored && 'code' in far.errored && far.errored.code, 'ECONNRESET');
}

function paced(rate: number): Pace {
  return new Shaper(new Bandwidth(rate), () => performance.now()).pace();
}

/** A pace that grants turns on demand. */
class Gate implements Pace {
  waits = false;
  left = false;
  #source: Paced | undefined;
  #asked: () => void = () => undefined;

  ask(source: Paced): void {
    this.#source = source;
    this.waits = true;
    this.#asked();
  }

  leave(): void {
    this.left = true;
    this.waits = false;
  }

  async asked(): Promise<void> {
    while (!this.waits) await new Promise<void>((resolve) => (this.#asked = resolve));
  }

  /** Returns how many bytes were taken. */
  async grant(most: number): Promise<number> {
    await this.asked();
    this.waits = false;
    return this.#source!.take(most);
  }
}
