import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { MemoryEngine } from '../../../test/support/memory-engine.ts';
import type { Connection, Peer } from '../../net/engine.ts';
import { compile } from '../../policy/compile.ts';
import type { Policy } from '../../policy/compile.ts';
import type { RoutedPermit } from '../../route/judge.ts';
import { createLimitMemory, Limits } from '../../limits/limits.ts';
import { Routes } from '../../route/routes.ts';
import { addressOf } from '../../wire/address.ts';
import { formatIp, parseIp } from '../../wire/ip.ts';
import type { OpenListener } from '../listen/listeners.ts';
import { Bandwidths } from '../limits/bandwidths.ts';
import { OwnPorts } from '../listen/own-ports.ts';
import { Quotas } from '../limits/quotas.ts';
import { Session } from '../session/session.ts';
import { Shares } from './shares.ts';
import type { ServerState } from '../session/state.ts';
import { keyOf, Destinations } from './destinations.ts';
import type { Allowed, UdpPath } from './udp-path.ts';

const TARGET = '203.0.114.1';

/** Port 1 is allowed, and others too for the destinations in `to`. */
function policyTo(...to: readonly string[]): Policy {
  const options = { action: 'allow', log: [], revoke: 'close' } as const;
  return compile({
    rules: [
      { ...options, name: 'one', to: ['any'], port: [{ first: 1, last: 1 }] },
      ...(to.length > 0 ? [{ ...options, name: 'all', to }] : []),
    ],
  });
}

function policyWith(revoke: 'keep' | 'close'): Policy {
  return compile({ rules: [{ action: 'allow', log: [], name: 'all', to: ['any'], revoke }] });
}

const LIMITS = createLimitMemory([1, 2], 32);

class Scene {
  readonly #state = {
    ports: new OwnPorts(),
    limits: new Limits(LIMITS),
    bandwidths: new Bandwidths(new Limits(LIMITS)),
    quotas: new Quotas({ used: () => 0, add: () => undefined }),
    sessions: { recordGrant: () => undefined },
    timeouts: { udpIdle: 180_000 },
    log: { debug: () => undefined },
    policy: policyTo('any'),
    decisions: 0,
    outbound: {
      routes: new Routes(undefined, { family: 'any', timeout: 1000 }),
      lookUp: async () => [parseIp(TARGET)!],
    },
    decide: undefined,
  };
  /** The ports of the datagrams sent. */
  readonly sent: number[] = [];
  readonly dropped: string[] = [];
  held = 0;
  readonly shares: Shares;
  /** Runs before the socket is open. */
  opening: () => Promise<void> = async () => {};
  readonly #destinations: Destinations;

  constructor() {
    const remote = { host: '198.51.100.7', port: 4999 };
    const connection = { local: { host: '192.0.2.9', port: 1080 }, remote } as Connection;
    const listener = { settings: {}, place: '' } as unknown as OpenListener;
    const state = this.#state as unknown as ServerState;
    const session = new Session('1', connection, listener);
    this.shares = new Shares(session, state, (share) => this.#destinations.forgetAll(share));
    this.#destinations = new Destinations(session, state, this.shares, {
      pathTo: (routed) => this.#pathTo(routed),
      send: ({ peer }) => this.sent.push(peer.port),
      dropped: (why) => this.dropped.push(why),
      hasRoom: () => true,
      holds: (bytes) => (this.held += bytes),
    });
  }

  async send(host: string, port: number): Promise<void> {
    const address = addressOf(host, port);
    this.#destinations.forward(keyOf(address), address, new Uint8Array(1), 0, 1, 0);
    await new Promise((done) => setImmediate(done));
  }

  answerer(port: number): Allowed | undefined {
    const peer: Peer = { host: TARGET, port, key: `${TARGET} ${port}` };
    return this.#destinations.answerer(peer);
  }

  mayAnswer(port: number): boolean {
    return this.answerer(port) !== undefined;
  }

  /** Returns whether any kept destination is left. */
  reload(policy: Policy, revoked?: 'revoked' | 'user-gone'): boolean {
    this.#state.policy = policy;
    this.#state.decisions++;
    return this.#destinations.recheck(revoked);
  }

  async #pathTo({ addresses, permit }: RoutedPermit): Promise<UdpPath> {
    await this.opening();
    const at = { host: '0.0.0.0', port: 0 };
    const socket = await new MemoryEngine().udp(at, { received: () => {}, failed: () => {} });
    const [ip] = addresses;
    const peer = socket.peer({ host: formatIp(ip!), port: permit.destination.port });
    return { socket, peer, header: undefined, ip, answers: peer.key };
  }
}

suite('ways', () => {
  test('rules that change while a socket is being opened decide', async () => {
    const scene = new Scene();
    const { promise, resolve } = Promise.withResolvers<void>();
    scene.opening = () => promise;
    await scene.send(TARGET, 1000);
    await scene.send(TARGET, 1);
    scene.reload(policyTo());
    resolve();
    await scene.send(TARGET, 1000);
    assert.deepEqual(scene.sent, [1]);
    assert.deepEqual(scene.dropped, ['refused', 'refused']);
    assert.deepEqual([scene.mayAnswer(1000), scene.mayAnswer(1)], [false, true]);
  });

  test('a peer can answer as long as some destination leads to it', async () => {
    const scene = new Scene();
    await scene.send(TARGET, 1000);
    await scene.send('a.test', 1000);
    assert.ok(scene.mayAnswer(1000));
    scene.reload(policyTo('a.test'));
    assert.ok(scene.mayAnswer(1000), 'by its name it is still allowed');
    scene.reload(policyTo());
    assert.ok(!scene.mayAnswer(1000));
  });

  test('answers that may belong to several rules are marked as mixed', async () => {
    const scene = new Scene();
    const allow = { action: 'allow', log: [], revoke: 'close' } as const;
    const rules = ['a', 'b'].map((name) => ({ ...allow, name, to: [`.${name}.test`] }));
    scene.reload(compile({ rules }));
    const mixed: (boolean | undefined)[] = [];
    for (const name of ['x.a.test', 'y.a.test', 'x.b.test', 'z.a.test']) {
      await scene.send(name, 1000);
      mixed.push(scene.answerer(1000)?.isMixed);
    }
    assert.deepEqual(mixed, [false, false, true, true]);
    const before = new Scene();
    before.reload(compile({ rules }));
    for (const name of ['x.a.test', 'y.a.test']) await before.send(name, 1000);
    before.reload(compile({ rules: [{ ...allow, name: 'c', to: ['y.a.test'] }, ...rules] }));
    assert.equal(before.answerer(1000)?.isMixed, true, 'a reload has parted them');
  });

  test('the same for an address and a name that resolves to it, in either order, and after a reload separates them', async () => {
    const allow = { action: 'allow', log: [], revoke: 'close' } as const;
    const rules = [
      { ...allow, name: 'b', to: ['.b.test'] },
      { ...allow, name: 'a', to: [TARGET] },
    ];
    const hosts = [TARGET, 'x.b.test'];
    for (const order of [hosts, hosts.toReversed()]) {
      for (const first of [rules, [{ ...allow, name: 'both', to: ['any'] }]]) {
        const scene = new Scene();
        scene.reload(compile({ rules: first }));
        for (const host of order) await scene.send(host, 1000);
        assert.equal(scene.answerer(1000)?.isMixed, first === rules);
        scene.reload(compile({ rules }));
        assert.equal(scene.answerer(1000)?.isMixed, true);
      }
    }
  });

  for (const first of ['keep', 'close'] as const) {
    test(`a reload reverses revoke: ${first}: each destination keeps the value under which it was allowed`, async () => {
      const scene = new Scene();
      const other = first === 'keep' ? 'close' : 'keep';
      scene.reload(policyWith(first));
      await scene.send(TARGET, 1000);
      scene.reload(policyWith(other));
      await scene.send(TARGET, 1001);
      assert.equal(scene.reload(policyTo(), 'user-gone'), true);
      assert.deepEqual(
        [scene.mayAnswer(1000), scene.mayAnswer(1001)],
        first === 'keep' ? [true, false] : [true, true],
      );
    });
  }

  test('the oldest of 4,097 destinations can no longer answer', async () => {
    const scene = new Scene();
    await scene.send(TARGET, 1000);
    await scene.send(TARGET, 1001);
    for (let port = 2000; port < 6095; port++) await scene.send(`h${port}.test`, 0);
    assert.deepEqual([scene.mayAnswer(1000), scene.mayAnswer(1001)], [false, true]);
  });
});
