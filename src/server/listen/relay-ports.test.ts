import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UdpSocket } from '../../net/engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import { RelayPorts } from './relay-ports.ts';
import type { RelayPort } from './relay-ports.ts';

const EVENTS = { received: () => {}, failed: () => {} };

/** An engine in which some ports are in use elsewhere; `binds` counts the attempts. */
class FakeEngine {
  readonly others = new Set<number>();
  fault: string | undefined;
  binds = 0;

  async udp(at: Endpoint): Promise<UdpSocket> {
    this.binds++;
    const code = this.fault ?? (this.others.has(at.port) ? 'EADDRINUSE' : undefined);
    if (code !== undefined) throw Object.assign(new Error(code), { code });
    return { local: at } as UdpSocket;
  }
}

class Setup {
  readonly engine = new FakeEngine();
  now = 0;
  readonly ports: RelayPorts = new RelayPorts(this.engine, () => this.now);
  readonly held: RelayPort[] = [];

  async bind(first: number, last: number, host = '127.0.0.1'): Promise<number> {
    const one = await this.ports.bind(host, { first, last }, EVENTS);
    this.held.push(one);
    return one.socket.local.port;
  }

  async fill(first: number, last: number): Promise<readonly number[]> {
    const bound: number[] = [];
    for (let port = first; port <= last; port++) bound.push(await this.bind(first, last));
    return bound;
  }
}

test('each port of a range is handed out once, in no order', async () => {
  const setup = new Setup();
  const bound = await setup.fill(40_000, 40_999);
  assert.equal(new Set(bound).size, 1000);
  assert.ok(bound.every((port) => port >= 40_000 && port <= 40_999));
  const steps = bound.slice(1).filter((port, i) => port === bound[i]! + 1);
  assert.ok(steps.length < 100, 'they are not in a row');
  assert.equal(setup.engine.binds, 1000);
});

test('a full range refuses at no cost, and hands out ports that come back', async () => {
  const setup = new Setup();
  await setup.fill(1024, 65_535);
  const { binds } = setup.engine;
  for (let i = 0; i < 100; i++) await assert.rejects(setup.bind(1024, 65_535), { detail: 'udp-ports' });
  assert.equal(setup.engine.binds, binds);
  const { socket, release } = setup.held[7]!;
  release();
  assert.equal(await setup.bind(1024, 65_535), socket.local.port);
  assert.equal(setup.engine.binds, binds + 1);
});

test('ports in use elsewhere are skipped for a while, a few per request', async () => {
  const setup = new Setup();
  const { engine } = setup;
  for (let port = 40_000; port < 41_000; port++) if (port !== 40_500) engine.others.add(port);
  const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => setup.bind(40_000, 40_999)));
  const bound = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  assert.deepEqual(bound, [40_500]);
  assert.equal(engine.binds, 1000, 'each was tried once');
  engine.others.clear();
  await assert.rejects(setup.bind(40_000, 40_999), { detail: 'udp-ports' });
  setup.now = 6000;
  assert.notEqual(await setup.bind(40_000, 40_999), 40_500);
  assert.equal(engine.binds, 1001);
});

test('one request tries no more than a few', async () => {
  const setup = new Setup();
  for (let port = 40_000; port < 41_000; port++) setup.engine.others.add(port);
  await assert.rejects(setup.bind(40_000, 40_999), { detail: 'udp-ports' });
  assert.equal(setup.engine.binds, 32);
});

test('each address and each range has its own ports', async () => {
  const setup = new Setup();
  await setup.fill(40_000, 40_003);
  assert.ok((await setup.bind(40_000, 40_003, '::1')) >= 40_000);
  assert.ok((await setup.bind(40_000, 40_004)) >= 40_000);
});

test('any other error is reported, and uses up no port', async () => {
  const setup = new Setup();
  setup.engine.fault = 'EMFILE';
  for (let i = 0; i < 3; i++) await assert.rejects(setup.bind(40_000, 40_000), { code: 'EMFILE' });
  setup.engine.fault = undefined;
  assert.equal(await setup.bind(40_000, 40_000), 40_000);
});

test('the lists stay bounded with many addresses, and with ports that come back late', async () => {
  const setup = new Setup();
  for (let i = 1; i <= 200; i++) await setup.bind(40_000, 40_000, `127.0.0.${i}`);
  for (const { release } of setup.held) release();
  assert.equal(await setup.bind(40_000, 40_000, '127.0.0.1'), 40_000);
});
