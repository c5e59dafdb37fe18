import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Socket } from 'node:net';
import { suite, test } from 'node:test';
import { setImmediate as immediate, setTimeout as delay } from 'node:timers/promises';
import {
  accepted,
  dialled,
  engines,
  flood,
  join,
  leavesNothing,
  type Pair,
  received,
  sample,
  secured,
  settled,
} from '../../../test/support/engines.ts';
import type { Engine, RelayEnd, RelayOptions } from '../engine.ts';

leavesNothing();

/** An accepted client, and the socket that can be reset below it. */
interface Client extends Pair {
  readonly below: Socket;
}

const links: readonly (readonly [string, (engine: Engine) => Promise<Client>])[] = [
  ['plain', plain],
  ['TLS', async (engine) => secured(engine, await accepted(engine))],
];

async function plain(engine: Engine): Promise<Client> {
  const pair = await accepted(engine);
  return { ...pair, below: pair.far };
}

for (const engine of engines) {
  for (const [link, arrive] of links) {
    // No time-out hides an unnoticed reset.
    suite(`${engine.name}, ${link}: a client that has gone`, { concurrency: true }, () => {
      for (const size of [1, 1000, 20_000, 100_000, 200_000]) {
        test(`after ${size} bytes in its first flight, with an answer of 100 KB under way`, async () => {
          for (let i = 0; i < 5; i++) {
            const target = await dialled(engine);
            const client = await arrive(engine);
            // The client's handshake has reached the kernel by now, but has not been read.
            await immediate();
            client.far.write(sample(size, 1));
            client.below.resetAndDestroy();
            const first = await client.near.read();
            assert.ok(first);
            client.near.unread(first);
            target.far.resume().end(sample(100_000, 2));
            using joined = join(engine, client, target);
            assertLost(await joined.ended, 'client');
          }
        });
      }

      test('while it is held back by a target that reads nothing', async () => {
        const client = await arrive(engine);
        using joined = join(engine, client, await dialled(engine));
        joined.target.pause();
        const supply = flood(joined.client);
        await settled(() => joined.relay.sent);
        client.below.resetAndDestroy();
        supply.stop();
        assertLost(await joined.ended, 'client');
      });

      test('while a target that has ended and reads nothing holds it back', async () => {
        const client = await arrive(engine);
        using joined = join(engine, client, await dialled(engine), { halfClose: 3000 });
        joined.target.pause().end('x');
        await once(joined.client.resume(), 'end');
        const supply = flood(joined.client);
        await settled(() => joined.relay.sent);
        client.below.resetAndDestroy();
        supply.stop();
        const end = await joined.ended;
        // When both ends were sent, Node cannot distinguish a reset from bytes that are held back.
        if (end.by === 'half-close') assert.equal(engine.name, 'portable');
        else assertLost(end, 'client');
      });

      test('while it reads nothing', async () => {
        const client = await arrive(engine);
        using joined = join(engine, client, await dialled(engine));
        const supply = flood(joined.target);
        await settled(() => joined.relay.received);
        client.below.resetAndDestroy();
        assertLost(await joined.ended, 'client');
        supply.stop();
      });

      test('after its end, from a target that is silent', async () => {
        const client = await arrive(engine);
        using joined = join(engine, client, await dialled(engine));
        client.far.end('question');
        await once(joined.target.resume(), 'end');
        client.below.resetAndDestroy();
        assertLost(await joined.ended, 'client');
      });

      test('or a target that has, while it is held back by a client that reads nothing', async () => {
        const client = await arrive(engine);
        client.far.pause();
        using joined = join(engine, client, await dialled(engine));
        const supply = flood(joined.target);
        await settled(() => joined.relay.received);
        joined.target.resetAndDestroy();
        supply.stop();
        assertLost(await joined.ended, 'target');
      });
    });

    suite(`${engine.name}, ${link}: half-close`, { concurrency: true }, () => {
      const half: Partial<RelayOptions> = { halfClose: 2000 };
      const DATA = sample(24 << 20, 4);

      test('does not cut a peer that reads a little now and then', async () => {
        using joined = join(engine, await arrive(engine), await dialled(engine), half);
        const whole = received(joined.client);
        joined.client.pause();
        joined.client.end();
        joined.target.end(DATA);
        for (let steps = 0; steps < 5; steps++) {
          await delay(1000);
          await takeSome(joined.client, 4 << 20);
        }
        joined.client.resume();
        assert.equal((await whole).length, DATA.length);
        assert.equal((await joined.ended).error, undefined);
      });

      const takes =
        engine.name === 'fast' ? 'waits for one that takes nothing' : 'cuts one that takes nothing';
      test(`${takes}, ${engine.name === 'fast' ? 'as long as it answers' : 'as its presence cannot be checked'}`, async () => {
        using joined = join(engine, await arrive(engine), await dialled(engine), half);
        joined.client.pause().end();
        joined.target.end(DATA);
        if (engine.name === 'portable') {
          assert.deepEqual(await joined.ended, { by: 'half-close' });
          return;
        }
        await delay(6000);
        const whole = received(joined.client);
        joined.client.resume();
        assert.equal((await whole).length, DATA.length);
        assert.equal((await joined.ended).error, undefined);
      });
    });
  }
}

/** Lets a paused far end read this many bytes, or the rest. */
function takeSome(far: Socket, size: number): Promise<void> {
  return new Promise((resolve) => {
    let left = size;
    const take = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left > 0) return;
      far.off('data', take).pause();
      resolve();
    };
    far.on('data', take).once('end', resolve).resume();
  });
}

/** The side failed, noticed by reading, by writing or by the sweep. */
function assertLost({ by, error }: RelayEnd, side: 'client' | 'target'): void {
  assert.equal(by, side);
  assert.match(String(error), /^(?:ECONNRESET|EPIPE)$/);
}
