import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { CLIENT, SERVER, ServerScene } from '../../../test/support/server-scene.ts';
import type { ConnectionRecord } from '../../audit/record.ts';
import type { Relay, RelayEnd } from '../../net/engine.ts';
import { Failure } from '../failure.ts';
import { Session } from './session.ts';

const RULE = { name: 'web', action: 'allow', to: ['any'], log: [], revoke: 'close' } as const;
const OTHER = { ...RULE, name: 'other' };
const IP = { family: 4, words: [0, 0, 0, 0xcb_00_71_01] } as const;
const TARGET = { host: '203.0.113.1', port: 443 };
const GRANT = { command: 'connect', destination: undefined, addresses: [] } as const;

/** Fields of a record, except those that every record has. */
function said(record: ConnectionRecord): object {
  const entries = Object.entries(record).filter(([key, value]) => !ALWAYS.has(key) && Boolean(value));
  return Object.fromEntries(entries);
}

const ALWAYS = new Set(['id', 'client', 'listener', 'duration']);

function relayOf(aborted: () => void = () => {}): Relay {
  return { sent: 5, received: 7, held: 9, abort: aborted };
}

suite('the record grows with the session', () => {
  test('CONNECT, step by step', () => {
    using scene = new ServerScene({});
    const { session } = scene.open();
    const { id, client, listener, duration } = session.record();
    assert.match(id, /^[0-9a-f]+-1$/);
    assert.deepEqual([client.startsWith(`${CLIENT}:`), listener], [true, `${SERVER}:1080`]);
    assert.ok(Number.isInteger(duration));
    const steps: readonly (readonly [() => void, object])[] = [
      [() => {}, {}],
      [() => session.usesMethod('password'), { method: 'password' }],
      [() => session.identifiedAs({ user: 'ann', groups: [] }), { user: 'ann' }],
      [
        () => session.requestReceived('socks5', 'connect', { host: 'www.test', port: 443 }),
        { command: 'connect', destination: 'www.test:443' },
      ],
      [() => session.granted(RULE, GRANT), { rule: 'web' }],
      [() => session.goesBy('out'), { route: 'out' }],
      [() => session.goesBy('out/192.0.2.9:1080', () => {}), { route: 'out/192.0.2.9:1080' }],
      [
        () => session.dialled({ host: '192.0.2.2', port: 4000 }, TARGET, GRANT),
        { bound: '192.0.2.2:4000', address: '203.0.113.1:443' },
      ],
      [() => session.relays(relayOf(), scene.state.sessions), { sent: 5, received: 7 }],
    ];
    let expected = {};
    for (const [step, adds] of steps) {
      step();
      expected = { ...expected, ...adds };
      assert.deepEqual(said(session.record()), expected);
    }
    assert.equal(session.record({ by: 'client', phase: 'relay' }).end, 'client:relay');
    assert.equal(session.record(new Failure('limit', 'relay', 'duration')).end, 'limit:relay:duration');
  });

  test('a refusal: its rule, address and route', () => {
    using scene = new ServerScene({});
    const { session } = scene.open();
    const route = { label: 'out' } as never;
    session.refusedBy({ type: 'refuse', reason: 'rule', rule: RULE, address: IP, route });
    assert.deepEqual(said(session.record()), { rule: 'web', address: '203.0.113.1', route: 'out' });
  });

  test('an association: the rule that granted it, then those in use', () => {
    using scene = new ServerScene({});
    const { session } = scene.open();
    session.granted(RULE, GRANT);
    session.refusedBy({ type: 'refuse', reason: 'rule', rule: OTHER });
    assert.deepEqual(said(session.record()), { rule: 'web' });
    const counters = { sent: 1, received: 0, used: [OTHER, RULE], dropped: 'refused:1' };
    session.associates(counters, () => true);
    assert.deepEqual(said(session.record()), { rule: 'other,web', sent: 1, dropped: 'refused:1' });
    assert.deepEqual(session.rules, [OTHER, RULE]);
  });

  test('behind a balancer, the client is the one in the PROXY header', () => {
    using scene = new ServerScene({});
    const { session } = scene.open();
    session.applyProxyHeader({ host: '::ffff:203.0.113.9', port: 5 });
    assert.equal(session.record().client, '203.0.113.9:5');
    assert.equal(session.facts('connect').sourcePort, 5);
  });

  test('a unix socket has no addresses', () => {
    using scene = new ServerScene({});
    const session = new Session('1', scene.open().session.client, {
      ...scene.listener,
      place: 'unix:/run/x',
    });
    const { client, listener } = session.record();
    assert.deepEqual([client, listener], ['unix', 'unix:/run/x']);
  });
});

test('the facts that rules match', () => {
  using scene = new ServerScene({});
  const { session } = scene.open();
  const { time, client, ...facts } = session.facts('connect');
  assert.ok(time <= Date.now() && client.family === 4);
  assert.deepEqual(facts, {
    listener: scene.listener.name,
    sourcePort: session.remote.port,
    protocol: 'socks5',
    method: 'none',
    user: undefined,
    groups: [],
    command: 'connect',
  });
  session.identifiedAs({ user: 'ann', groups: ['staff'] });
  assert.equal(session.record().user, undefined, 'no method is chosen yet');
  session.usesMethod('certificate');
  session.requestReceived('socks4', 'bind', TARGET);
  assert.partialDeepStrictEqual(session.facts('bind'), {
    protocol: 'socks4',
    method: 'certificate',
    user: 'ann',
    groups: ['staff'],
  });
});

for (const [method, phase] of [
  ['none', 'request'],
  ['certificate', 'request'],
  ['password', 'auth'],
] as const) {
  test(`${method} is followed by ${phase}`, () => {
    using scene = new ServerScene({});
    const { session } = scene.open();
    session.identifiedAs({ user: 'ann', groups: [] });
    session.usesMethod(method);
    assert.deepEqual(
      [session.phase, session.identity?.user],
      [phase, method === 'certificate' ? 'ann' : undefined],
    );
  });
}

suite('a session is stopped', () => {
  const first = new Failure('timeout', 'greeting');
  const second = new Failure('admin', 'greeting', 'drain');

  test('the first failure counts, and the connection is closed', async () => {
    using scene = new ServerScene({});
    const { client, session } = scene.open();
    const { signal } = session;
    let aborted = 0;
    signal.addEventListener('abort', () => aborted++);
    session.stop(first);
    session.stop(second);
    assert.deepEqual([session.failure, signal.reason, aborted], [first, first, 1]);
    await client.gone();
  });

  test('a signal requested afterwards is aborted', () => {
    using scene = new ServerScene({});
    const { session } = scene.open();
    session.stop(first);
    assert.throws(() => session.signal.throwIfAborted(), first);
  });

  test('work without a signal is only awaited while the session is open', async () => {
    using scene = new ServerScene({});
    const { session } = scene.open();
    assert.equal(await session.whileOpen(1), 1);
    await assert.rejects(session.whileOpen(Promise.reject(second)), second);
    const waiting = session.whileOpen(new Promise(() => {}));
    session.stop(first);
    await assert.rejects(waiting, first);
    await assert.rejects(session.whileOpen(new Promise(() => {})), first);
  });

  test('a relay is aborted, and ends with that failure', () => {
    using scene = new ServerScene({});
    const { session } = scene.open();
    let aborted = 0;
    session.relays(
      relayOf(() => aborted++),
      scene.state.sessions,
    );
    session.stop(second);
    session.stop(first);
    session.relayEnded({ by: 'abort' });
    assert.equal(aborted, 1);
    assert.deepEqual(
      scene.records.map(({ end }) => end),
      ['admin:greeting:drain'],
    );
  });

  test('when memory is short', () => {
    using scene = new ServerScene({});
    const { session } = scene.open();
    session.enters('request');
    session.shed();
    assert.equal(session.failure?.message, 'limit:request:memory');
  });

  for (const [phase, end] of [
    ['request', undefined],
    ['dial', undefined],
    ['bind', 'client:bind'],
    ['relay', undefined],
  ] as const) {
    test(`the client ends its direction in ${phase}: ${end ?? 'it continues'}`, () => {
      using scene = new ServerScene({});
      const { session } = scene.open();
      session.enters(phase);
      session.clientEnds();
      assert.deepEqual([session.clientEnded, session.failure?.message], [true, end]);
    });
  }
});

const ENDS: readonly (readonly [RelayEnd, string])[] = [
  [{ by: 'client' }, 'client:relay'],
  [{ by: 'target' }, 'target:relay'],
  [{ by: 'target', error: 'ECONNRESET' }, 'target:relay:ECONNRESET'],
  [{ by: 'idle' }, 'timeout:relay:idle'],
  [{ by: 'half-close' }, 'timeout:relay:half-close'],
  [{ by: 'duration' }, 'limit:relay:duration'],
  [{ by: 'abort' }, 'admin:relay'],
];

suite('the end of a relay ends its session', () => {
  for (const [end, expected] of ENDS) {
    test(expected, () => {
      using scene = new ServerScene({});
      const { session } = scene.open();
      session.relays(relayOf(), scene.state.sessions);
      session.relayEnded(end);
      assert.deepEqual(
        scene.records.map((record) => record.end),
        [expected],
      );
      assert.equal(scene.state.sessions.size, 0);
    });
  }
});

test('credentials that no upstream has required are forgotten when the relay begins', () => {
  using scene = new ServerScene({});
  const { session } = scene.open();
  session.identifiedAs({ user: 'ann', groups: [] }, { username: 'ann', password: 'x' });
  session.goesBy('direct');
  session.relays(relayOf(), scene.state.sessions);
  assert.equal(session.credentials, undefined);
});

test('resources are released when it ends', () => {
  using scene = new ServerScene({});
  const { session } = scene.open();
  const released: string[] = [];
  session.identifiedAs({ user: 'ann', groups: [] }, { username: 'ann', password: 'x' });
  session.goesBy('out', () => released.push('upstreams'));
  assert.equal(session.credentials, undefined, 'they were shown to the upstreams by now');
  session.associates({ sent: 0, received: 0, release: () => released.push('association') }, () => true);
  scene.state.sessions.close(session, { by: 'client', phase: 'relay' });
  assert.deepEqual(released, ['association', 'upstreams']);
});
