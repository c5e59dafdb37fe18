import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { formatIp, parseIp, type Ip } from '../wire/ip.ts';
import { joinFamilies, RESOLUTION_DELAY } from './families.ts';

const v4 = [parseIp('192.0.2.1')!];
const v6 = [parseIp('2001:db8::1')!];
const yes = (): boolean => true;
const no = (): boolean => false;

interface Lookup {
  readonly promise: Promise<readonly Ip[]>;
  readonly resolve: (found: readonly Ip[]) => void;
  readonly reject: (error: Error) => void;
}

function lookup(): Lookup {
  let parts: Omit<Lookup, 'promise'> | undefined;
  const promise = new Promise<readonly Ip[]>((resolve, reject) => {
    parts = { resolve, reject };
  });
  return { promise, ...parts! };
}

/** Lets everything run that only waits for its turn. */
async function turn(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

/** Both lookups, their outcome so far, and the clock. */
function start(
  t: TestContext,
  isUsable = yes,
): { ipv6: Lookup; ipv4: Lookup; state: () => string; tick: (ms: number) => Promise<void> } {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const [ipv6, ipv4] = [lookup(), lookup()];
  let state = 'waits';
  joinFamilies(ipv6.promise, ipv4.promise, isUsable).then(
    (found) => (state = found.map(formatIp).join(' ')),
    (error: Error) => (state = error.message),
  );
  return {
    ipv6,
    ipv4,
    state: () => state,
    tick: async (ms) => {
      await turn();
      t.mock.timers.tick(ms);
      await turn();
    },
  };
}

test('IPv4 waits the resolution delay for IPv6', async (t) => {
  const { ipv4, ipv6, state, tick } = start(t);
  ipv4.resolve(v4);
  await tick(RESOLUTION_DELAY - 1);
  assert.equal(state(), 'waits');
  await tick(1);
  assert.equal(state(), '192.0.2.1');
  ipv6.resolve(v6);
  await turn();
  assert.equal(state(), '192.0.2.1', 'what comes late changes nothing');
});

test('IPv6 within the delay', async (t) => {
  const { ipv4, ipv6, state, tick } = start(t);
  ipv4.resolve(v4);
  await tick(10);
  ipv6.resolve(v6);
  await turn();
  assert.equal(state(), '192.0.2.1 2001:db8::1');
});

test('IPv6 waits for IPv4, its fallback', async (t) => {
  const { ipv4, ipv6, state, tick } = start(t);
  ipv6.resolve(v6);
  await tick(1000);
  assert.equal(state(), 'waits');
  ipv4.resolve(v4);
  await turn();
  assert.equal(state(), '2001:db8::1 192.0.2.1');
});

test('unreachable IPv4 addresses wait for IPv6 as long as it takes', async (t) => {
  const { ipv4, ipv6, state, tick } = start(t, no);
  ipv4.resolve(v4);
  await tick(1000);
  assert.equal(state(), 'waits');
  ipv6.resolve(v6);
  await turn();
  assert.equal(state(), '192.0.2.1 2001:db8::1');
});

test('no IPv4 address waits for IPv6 as long as it takes', async (t) => {
  const { ipv4, ipv6, state, tick } = start(t);
  ipv4.resolve([]);
  await tick(1000);
  assert.equal(state(), 'waits');
  ipv6.resolve(v6);
  await turn();
  assert.equal(state(), '2001:db8::1');
});

test('a failure counts only when nothing was found', async (t) => {
  const { ipv4, ipv6, state } = start(t);
  ipv6.reject(new Error('no server'));
  ipv4.resolve(v4);
  await turn();
  assert.equal(state(), '192.0.2.1');
});

test('a failure and nothing found is a failure, nothing found twice is nothing', async (t) => {
  const failed = start(t);
  failed.ipv6.reject(new Error('no server'));
  failed.ipv4.resolve([]);
  await turn();
  assert.equal(failed.state(), 'no server');
  t.mock.timers.reset();

  const nothing = start(t);
  nothing.ipv6.resolve([]);
  nothing.ipv4.resolve([]);
  await turn();
  assert.equal(nothing.state(), '');
});
