import assert from 'node:assert/strict';
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type ConnectionOptions, TLSSocket } from 'node:tls';
import { cert, key } from '../../../test/support/certificate.ts';
import {
  accepted,
  assertSame,
  dialled,
  engines,
  flood,
  gone,
  join,
  leavesNothing,
  type Pair,
  read,
  received,
  sample,
  secured,
  settled,
  startRelay,
} from '../../../test/support/engines.ts';
import type { Connection, Engine } from '../engine.ts';

const MIB = 1 << 20;
const CLIENT: ConnectionOptions = { ca: cert, servername: 'localhost' };

leavesNothing();

for (const engine of engines) {
  suite(`${engine.name}: detach`, () => {
    test('unread bytes come first, what was written is sent, and the stream flows when it has a listener', async () => {
      const { near, far } = await accepted(engine);
      const data = sample(5 * MIB, 1);
      const answer = received(far);
      far.end(data);
      near.write(Buffer.from('one '));
      const first = await read(near, 10_000);
      near.unread(first.subarray(9000));
      near.unread(first.subarray(8000, 9000));
      const stream = near.detach();
      stream.end('two');
      const rest = await stream.toArray();
      assertSame(Buffer.concat(rest), data.subarray(8000));
      assert.equal((await answer).toString(), 'one two');
    });

    test('a bare data listener gets everything', async () => {
      const { near, far } = await accepted(engine);
      far.write('early ');
      near.unread(await read(near, 6));
      const stream = near.detach();
      let text = '';
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      far.end('late');
      await once(stream, 'end');
      assert.equal(text, 'early late');
      stream.destroy();
      far.destroy();
    });

    test('after the peer has ended its direction', async () => {
      const { near, far } = await accepted(engine);
      const answer = received(far);
      far.end('question');
      const bytes = await read(near, 8);
      assert.equal(await near.read(), undefined);
      near.unread(bytes);
      const stream = near.detach();
      stream.end('answer');
      assert.equal(Buffer.concat(await stream.toArray()).toString(), 'question');
      assert.equal((await answer).toString(), 'answer');
    });

    test('a peer that resets it with data still to send affects nothing else', async () => {
      for (let i = 0; i < 20; i++) {
        const { near, far } = await accepted(engine);
        far.resetAndDestroy();
        near.write(Buffer.from('answer'));
        // The engine may or may not have noticed it.
        if (i % 2 === 1) await delay(5);
        const stream = near.detach();
        stream.on('error', () => {}).resume();
        if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
        const others = await Promise.all([accepted(engine), accepted(engine)]);
        for (const other of others) other.far.write('heard?');
        for (const other of others) assert.equal((await read(other.near, 6)).toString(), 'heard?');
        for (const other of others) other.far.destroy();
        for (const other of others) other.near.destroy();
      }
    });

    test('the connection has no listeners left on it', async () => {
      const { near, far } = await accepted(engine);
      const { near: other, far: otherFar } = await accepted(engine);
      const fresh = near.detach();
      const used = engine.adopt(other.detach(), other.local, other.remote).detach();
      for (const event of ['data', 'end', 'error', 'close', 'drain', 'readable']) {
        assert.equal(used.listenerCount(event), fresh.listenerCount(event), event);
      }
      assert.equal(fresh.listenerCount('data') + fresh.listenerCount('drain'), 0);
      for (const stream of [fresh, used, far, otherFar]) stream.destroy();
    });
  });

  suite(`${engine.name}: TLS over a connection`, () => {
    test('a client that speaks TLS, after its first byte was inspected', async () => {
      const client = await accepted(engine);
      const secure = connect({ ...CLIENT, socket: client.far });
      const hello = await read(client.near, 1);
      assert.equal(hello[0], 0x16);
      client.near.unread(hello);
      await relaysBothWays(
        engine,
        { near: serveTls(engine, client.near), far: secure },
        await dialled(engine),
      );
    });

    test('a target that speaks TLS', async () => {
      const target = await dialled(engine);
      const secure = new TLSSocket(target.far, { isServer: true, cert, key });
      const dialling = connect({ ...CLIENT, socket: target.near.detach() });
      await once(dialling, 'secureConnect');
      const near = engine.adopt(dialling, target.near.local, target.near.remote);
      await relaysBothWays(engine, await accepted(engine), { near, far: secure });
    });

    test('early bytes of a TLS client reach read and relay', async () => {
      const client = await accepted(engine);
      const secure = connect({ ...CLIENT, socket: client.far });
      secure.write('greeting and more');
      const near = serveTls(engine, client.near);
      assert.equal((await read(near, 8)).toString(), 'greeting');
      const target = await dialled(engine);
      const atTarget = received(target.far);
      const { relay, ended } = startRelay(engine, near, target.near);
      secure.end();
      assert.equal((await atTarget).toString(), ' and more');
      target.far.end();
      await once(secure.resume(), 'end');
      assert.deepEqual(await ended, { by: 'client' });
      assert.equal(relay.sent, 9);
    });

    test('a reset under it reaches the other side', async () => {
      const client = await accepted(engine);
      // TLS runs over a pair of streams, so that the TCP socket itself can be reset.
      const [socket, plug] = duplexPair();
      plug.pipe(client.far).pipe(plug);
      const secure = connect({ ...CLIENT, socket });
      secure.on('error', () => undefined); // it is cut off
      const near = serveTls(engine, client.near);
      secure.write('x');
      await read(near, 1);
      await delay(100);
      const target = await dialled(engine);
      const { ended } = startRelay(engine, near, target.near);
      client.far.resetAndDestroy();
      const atTarget = assert.rejects(received(target.far), { code: 'ECONNRESET' });
      assert.deepEqual(await ended, { by: 'client', error: 'ECONNRESET' });
      await atTarget;
    });

    test('a target that resets cuts the TLS client off', async () => {
      const client = await accepted(engine);
      const secure = connect({ ...CLIENT, socket: client.far });
      secure.on('error', () => undefined); // it is cut off
      const near = serveTls(engine, client.near);
      await once(secure, 'secureConnect');
      const target = await dialled(engine);
      const { ended } = startRelay(engine, near, target.near);
      target.far.resetAndDestroy();
      assert.deepEqual(await ended, { by: 'target', error: 'ECONNRESET' });
      await gone(secure.resume());
    });

    for (const reads of ['client', 'target'] as const) {
      test(`a ${reads} that reads nothing: little is held, and is reported`, async () => {
        const client = await secured(engine, await accepted(engine));
        using joined = join(engine, client, await dialled(engine));
        const [far, other] =
          reads === 'client' ? [joined.client, joined.target] : [joined.target, joined.client];
        far.pause();
        const supply = flood(other);
        await settled(() => joined.relay.sent + joined.relay.received);
        const { held } = joined.relay;
        // A chunk in transit, which TLS holds twice, and one behind it.
        assert.ok(held > 1000 && held <= 196_608 + 100, `${held} bytes`);
        supply.stop();
      });
    }

    test('data that is not TLS ends the connection with an error', async () => {
      const client = await accepted(engine);
      const near = serveTls(engine, client.near);
      client.far.write('GET / HTTP/1.1\r\n\r\n');
      await assert.rejects(near.read(), { code: 'ERR_SSL_HTTP_REQUEST' });
      client.far.destroy();
    });
  });
}

function serveTls(engine: Engine, near: Connection): Connection {
  const secure = new TLSSocket(near.detach(), { isServer: true, cert, key });
  return engine.adopt(secure, near.local, near.remote);
}

async function relaysBothWays(engine: Engine, client: Pair, target: Pair): Promise<void> {
  const up = sample(6 * MIB, 2);
  const down = sample(5 * MIB, 3);
  const atTarget = received(target.far);
  const atClient = received(client.far);
  const { relay, ended } = startRelay(engine, client.near, target.near);
  client.far.end(up);
  assertSame(await atTarget, up);
  target.far.end(down);
  assertSame(await atClient, down);
  assert.deepEqual(await ended, { by: 'client' });
  assert.equal(relay.sent, up.length);
  assert.equal(relay.received, down.length);
}
