import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mock, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { assertSame, engines, leavesNothing, sample } from '../../../test/support/engines.ts';
import { descriptors } from '../../../test/support/usage.ts';
import { UDP_HEADROOM } from '../engine.ts';
import type { Engine, Peer, UdpSocket } from '../engine.ts';
import { FastEngine } from '../fast.ts';
import { libc } from '../../sys/libc.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };
/** The largest payload over IPv4; over IPv6 it is 20 bytes larger. */
const LARGEST = 65_507;

/** A socket and the datagrams it has received. */
interface Box extends Disposable {
  readonly socket: UdpSocket;
  readonly codes: string[];
  /** The next datagram. */
  next(): Promise<{ readonly data: Buffer; readonly from: Peer }>;
}

leavesNothing();

for (const engine of engines) {
  suite(`${engine.name}: UDP`, () => {
    for (const [host, shown] of [
      ['127.0.0.1', '127.0.0.1'],
      ['::1', '::1'],
      ['0:0:0:0:0:0:0:1', '::1'],
    ] as const) {
      test(`to ${host} and back: the addresses and keys of both ends`, async () => {
        using a = await open(engine, host);
        using b = await open(engine, host);
        assert.equal(a.socket.local.host, shown);
        const toB = a.socket.peer({ host, port: b.socket.local.port });
        assert.equal(toB.host, shown);
        send(a.socket, Buffer.from('question'), toB);
        const question = await b.next();
        assert.equal(question.data.toString(), 'question');
        assert.equal(question.from.host, shown);
        assert.equal(question.from.port, a.socket.local.port);
        send(b.socket, Buffer.from('answer'), question.from);
        const answer = await a.next();
        assert.equal(answer.data.toString(), 'answer');
        assert.equal(answer.from.key, toB.key);
        assert.notEqual(answer.from.key, question.from.key);
      });
    }

    test('an IPv6 socket does not receive IPv4', async () => {
      using six = await open(engine, '::');
      using four = await engine.udp({ host: '0.0.0.0', port: six.socket.local.port }, ignore);
      assert.equal(four.local.port, six.socket.local.port);
    });

    for (const [host, size] of [
      ['127.0.0.1', 0],
      ['127.0.0.1', 1],
      ['127.0.0.1', 1472],
      ['127.0.0.1', LARGEST],
      ['::1', 0],
      ['::1', 9000],
      ['::1', LARGEST],
      ['::1', LARGEST + 20],
    ] as const) {
      test(`a payload of ${size} bytes over ${host}`, async () => {
        using a = await open(engine, host);
        using b = await open(engine, host);
        const data = sample(size, size + 1);
        send(a.socket, data, a.socket.peer(b.socket.local));
        assertSame((await b.next()).data, data);
        assert.deepEqual(a.codes, []);
      });
    }

    test('a payload that is too large is reported, and the socket stays open', async () => {
      using a = await open(engine);
      using b = await open(engine);
      const peer = a.socket.peer(b.socket.local);
      for (const size of [LARGEST + 1, 65_535, 100_000]) {
        a.codes.length = 0;
        send(a.socket, sample(size, 1), peer);
        await until(() => a.codes.length > 0);
        assert.deepEqual(a.codes, ['EMSGSIZE']);
      }
      send(a.socket, Buffer.from('x'), peer);
      assert.equal((await b.next()).data.toString(), 'x');
    });

    test('one that is too large, sent while another is received, does not change that', async () => {
      using b = await open(engine);
      const data = sample(1000, 3);
      const codes: string[] = [];
      let kept: Uint8Array | undefined;
      using relay: UdpSocket = await engine.udp(LOOPBACK, {
        received: (buffer, start, end) => {
          // Like a reassembled datagram behind the longest headers: larger than any buffer.
          send(relay, sample(LARGEST + 262, 1), relay.peer(b.socket.local));
          kept = buffer.slice(start, end);
        },
        failed: (code) => codes.push(code),
      });
      using a = await open(engine);
      send(a.socket, data, a.socket.peer(relay.local));
      await until(() => kept !== undefined && codes.length > 0);
      assertSame(Buffer.from(kept!), data);
      assert.deepEqual(codes, ['EMSGSIZE']);
    });

    test('impossible destinations: reported, and the socket stays open', async () => {
      using a = await open(engine);
      using b = await open(engine);
      send(a.socket, Buffer.from('x'), a.socket.peer({ host: '127.0.0.1', port: 0 }));
      send(a.socket, Buffer.from('x'), a.socket.peer({ host: '::1', port: b.socket.local.port }));
      send(a.socket, Buffer.from('x'), a.socket.peer({ host: '127.255.255.255', port: b.socket.local.port }));
      await until(() => a.codes.length === 3);
      assert.ok(a.codes.includes('EACCES'), `broadcast: ${a.codes.join()}`);
      send(a.socket, Buffer.from('x'), a.socket.peer(b.socket.local));
      assert.equal((await b.next()).data.toString(), 'x');
    });

    test('a port without a listener does not affect the others', async () => {
      const lost = await open(engine);
      const { local } = lost.socket;
      lost.socket.close();
      using a = await open(engine);
      using b = await open(engine);
      for (let i = 0; i < 3; i++) send(a.socket, Buffer.from('anybody?'), a.socket.peer(local));
      await delay(50);
      send(a.socket, Buffer.from('x'), a.socket.peer(b.socket.local));
      assert.equal((await b.next()).data.toString(), 'x');
      // An engine that sees ICMP errors reports them; the other is silent.
      assert.ok(a.codes.every((code) => code === 'ECONNREFUSED'));
    });

    test('the headroom takes a header, and the whole is passed on without a copy', async () => {
      using b = await open(engine);
      const header = sample(UDP_HEADROOM, 9);
      const relay: UdpSocket = await engine.udp(LOOPBACK, {
        received: (buffer, start, end) => {
          assert.ok(start >= UDP_HEADROOM);
          buffer.set(header, start - UDP_HEADROOM);
          relay.send(buffer, start - UDP_HEADROOM, end, relay.peer(b.socket.local));
        },
        failed: assert.fail,
      });
      using a = await open(engine);
      for (const size of [0, 100, LARGEST - UDP_HEADROOM]) {
        const data = sample(size, size);
        send(a.socket, data, a.socket.peer(relay.local));
        assertSame((await b.next()).data, Buffer.concat([header, data]));
      }
      relay.close();
    });

    test('the buffer may be reused at once', async () => {
      using a = await open(engine);
      using b = await open(engine);
      const peer = a.socket.peer(b.socket.local);
      const buffer = new Uint8Array(1000);
      for (let i = 0; i < 50; i++) a.socket.send(buffer.fill(i), 100, 300, peer);
      buffer.fill(255);
      for (let i = 0; i < 50; i++) {
        const { data } = await b.next();
        assert.equal(data.length, 200);
        assert.ok(
          data.every((byte) => byte === i),
          `datagram ${i}`,
        );
      }
    });

    test('a burst of many peers: each has its own key', async () => {
      using a = await open(engine);
      const keys = new Map<string, string>();
      // Closed at the end: otherwise the kernel could reuse a port.
      using all = new DisposableStack();
      for (let i = 0; i < 20; i++) {
        const far = createSocket('udp4').bind(0, '127.0.0.1');
        all.defer(() => far.close());
        await once(far, 'listening');
        const { port } = far.address();
        for (let j = 0; j < 2; j++) {
          far.send(String(port), a.socket.local.port, '127.0.0.1');
          const { data, from } = await a.next();
          assert.equal(data.toString(), String(from.port));
          assert.equal(keys.get(from.key) ?? data.toString(), data.toString());
          keys.set(from.key, data.toString());
        }
      }
      assert.equal(keys.size, 20);
    });

    test('a port in use, and an address of another machine', async () => {
      using a = await open(engine);
      const before = await descriptors(process.pid);
      await assert.rejects(engine.udp(a.socket.local, ignore), { code: 'EADDRINUSE' });
      await assert.rejects(engine.udp({ host: '192.0.2.1', port: 0 }, ignore), { code: 'EADDRNOTAVAIL' });
      await delay(50);
      assert.equal(await descriptors(process.pid), before);
    });

    test('closed while handling one of many datagrams: nothing more is reported', async () => {
      using far = await open(engine);
      let told = 0;
      const socket = await engine.udp(LOOPBACK, {
        received: () => {
          told++;
          socket.close();
        },
        failed: assert.fail,
      });
      const { local } = socket;
      for (let i = 0; i < 100; i++) send(far.socket, sample(100, i), far.socket.peer(local));
      await until(() => told > 0);
      await delay(50);
      assert.equal(told, 1);
      (await engine.udp(local, ignore)).close();
    });

    test('after close: nothing is sent or reported, and the port is free', async () => {
      using b = await open(engine);
      const before = await descriptors(process.pid);
      const a = await open(engine);
      const { local } = a.socket;
      send(a.socket, sample(LARGEST + 1, 1), a.socket.peer(b.socket.local));
      const told = [...a.codes];
      a.socket.close();
      a.socket.close();
      send(a.socket, Buffer.from('x'), a.socket.peer(b.socket.local));
      await delay(50);
      const again = await engine.udp(local, ignore);
      assert.deepEqual(a.codes, told);
      again.close();
      await delay(50);
      assert.equal(await descriptors(process.pid), before);
    });
  });
}

test('many engines in succession have UDP, more than would fit at once', async () => {
  for (let i = 0; i < 8; i++) {
    using socket = await new FastEngine().udp(LOOPBACK, ignore);
    assert.ok(socket.local.port > 0);
  }
});

test('a persistent error is reported, and does not cause a loop', async () => {
  const failing = mock.method(libc, 'recvmmsg', () => libc.close(-1));
  try {
    using a = await open(new FastEngine());
    using b = await open(new FastEngine());
    send(b.socket, Buffer.from('x'), b.socket.peer(a.socket.local));
    await until(() => a.codes.length > 0);
    await delay(100);
    assert.deepEqual(a.codes, ['EBADF']);
    assert.equal(failing.mock.callCount(), 2);
  } finally {
    failing.mock.restore();
  }
});

const ignore = { received: () => undefined, failed: () => undefined };

async function open(engine: Engine, host = LOOPBACK.host): Promise<Box> {
  const come: { data: Buffer; from: Peer }[] = [];
  const codes: string[] = [];
  const socket = await engine.udp(
    { host, port: 0 },
    {
      received: (buffer, start, end, from) =>
        come.push({ data: Buffer.from(buffer.slice(start, end)), from }),
      failed: (code) => codes.push(code),
    },
  );
  return {
    socket,
    codes,
    next: async () => {
      await until(() => come.length > 0);
      return come.shift()!;
    },
    [Symbol.dispose]: () => socket.close(),
  };
}

function send(socket: UdpSocket, data: Uint8Array, to: Peer): void {
  socket.send(data, 0, data.length, to);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(1);
}
