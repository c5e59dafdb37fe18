import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Peer, UdpEvents, UdpSocket } from '../../net/engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import { ClientPort } from './client-port.ts';
import { SharedPorts } from '../listen/shared-ports.ts';

const AT = { host: '192.0.2.1', port: 1080 };

function peer({ host, port }: Endpoint): Peer {
  return { host, port, key: `${host} ${port}` };
}

/** Sockets that receive what they are given, and what becomes of it. */
class Setup {
  bound = 0;
  own = 0;
  fault: string | undefined;
  #events: UdpEvents | undefined;
  readonly got: string[] = [];
  readonly ports: SharedPorts = new SharedPorts(
    {
      udp: async (at, events): Promise<UdpSocket> => {
        await Promise.resolve();
        if (this.fault !== undefined) throw Object.assign(new Error(this.fault), { code: this.fault });
        this.bound++;
        this.#events = events;
        return { local: at, peer, close: () => this.bound-- } as unknown as UdpSocket;
      },
    },
    { add: () => (this.own++, () => void this.own--) },
  );

  /** Returns what ends it, or why it was refused. */
  async join(name: string, host: string, clientPort: ClientPort): Promise<() => void> {
    const received = (_buffer: Uint8Array, _start: number, _end: number, { port }: Peer): void =>
      void this.got.push(`${name}: ${port} ${clientPort.claim(port, performance.now())}`);
    const { socket } = await this.ports.join(AT, { host, clientPort, received });
    return () => socket.close();
  }

  /** Who got what came from there. */
  from(host: string, port: number): string | undefined {
    this.#events!.received(new Uint8Array(), 0, 0, peer({ host, port }));
    return this.got.splice(0).join();
  }

  fail(code: string): void {
    this.#events!.failed(code);
  }
}

const undeclared = (): ClientPort => new ClientPort(0, false);

test('one socket, while there are associations', async () => {
  const setup = new Setup();
  const [first, second] = await Promise.all([
    setup.join('a', '10.0.0.1', undeclared()),
    setup.join('b', '10.0.0.2', undeclared()),
  ]);
  assert.deepEqual([setup.bound, setup.own], [1, 1]);
  first();
  first();
  assert.deepEqual([setup.bound, setup.own], [1, 1]);
  second();
  assert.deepEqual([setup.bound, setup.own], [0, 0]);
  await setup.join('c', '10.0.0.1', undeclared());
  assert.deepEqual([setup.bound, setup.own], [1, 1]);
});

test('a datagram is that of the port, then that of the one who waits for its port', async () => {
  const setup = new Setup();
  await setup.join('waits', '10.0.0.1', undeclared());
  await setup.join('declared', '10.0.0.1', new ClientPort(0, false, 7));
  await setup.join('certain', '10.0.0.1', new ClientPort(8, true));
  assert.equal(setup.from('10.0.0.1', 7), 'declared: 7 client');
  assert.equal(setup.from('10.0.0.1', 8), 'certain: 8 client');
  assert.equal(setup.from('10.0.0.1', 9), 'waits: 9 client');
  assert.equal(setup.from('10.0.0.1', 0), 'waits: 0 stranger');
  assert.equal(setup.from('10.0.0.2', 7), '');
});

test('once every port is certain, another one is a stranger', async () => {
  const setup = new Setup();
  await setup.join('hinted', '10.0.0.1', new ClientPort(7, false));
  assert.equal(setup.from('10.0.0.1', 7), 'hinted: 7 client');
  await setup.join('other', '10.0.0.1', new ClientPort(8, false));
  assert.equal(setup.from('10.0.0.1', 9), 'hinted: 9 stranger');
  assert.equal(setup.from('10.0.0.1', 7), 'hinted: 7 client');
  assert.equal(setup.from('10.0.0.1', 8), 'other: 8 client');
});

test('a further association needs a port of its own', async () => {
  const setup = new Setup();
  const end = await setup.join('a', '10.0.0.1', new ClientPort(0, false, 7));
  await assert.rejects(setup.join('b', '10.0.0.1', undeclared()), { detail: 'declared-port' });
  await assert.rejects(setup.join('b', '10.0.0.1', new ClientPort(7, true)), { detail: 'port-conflict' });
  setup.from('10.0.0.1', 9);
  await assert.rejects(setup.join('b', '10.0.0.1', new ClientPort(9, true)), { detail: 'port-conflict' });
  const leave = await setup.join('b', '10.0.0.1', new ClientPort(8, true));
  await assert.rejects(setup.join('c', '10.0.0.1', new ClientPort(8, false)), { detail: 'port-conflict' });
  leave();
  end();
  await setup.join('c', '10.0.0.1', undeclared());
});

test('a port that cannot be bound, and an interface that has gone', async () => {
  const setup = new Setup();
  setup.fault = 'EADDRINUSE';
  await assert.rejects(setup.join('a', '10.0.0.1', undeclared()), { code: 'EADDRINUSE' });
  setup.fault = undefined;
  const old = await setup.join('a', '10.0.0.1', undeclared());
  setup.fail('EMSGSIZE');
  await setup.join('b', '10.0.0.2', undeclared());
  assert.equal(setup.bound, 1);
  setup.fail('ENODEV');
  await setup.join('c', '10.0.0.1', undeclared());
  assert.equal(setup.bound, 2);
  old();
});
