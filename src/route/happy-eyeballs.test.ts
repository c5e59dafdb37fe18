import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Connection, ConnectOptions, Engine } from '../net/engine.ts';
import type { Endpoint } from '../wire/address.ts';
import { Spare } from '../limits/spare.ts';
import { parseIp, type Ip } from '../wire/ip.ts';
import { race } from './happy-eyeballs.ts';

const [a6, b6, c6] = ['2001:db8::a', '2001:db8::b', '2001:db8::c'] as const;
const [a4, b4, c4] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'] as const;
type Address = typeof a4 | typeof b4 | typeof c4;

/**
 * The outcome of an attempt at an address: after `after` milliseconds a connection or this error; without
 * `after`, none.
 */
type Fate = 'silent' | { readonly after: number; readonly error?: string; readonly evenIfAborted?: true };

/** An engine that follows a script; `log` lists the events with their times. */
class ScriptedEngine implements Pick<Engine, 'connect'> {
  readonly log: string[] = [];
  readonly #fates: Readonly<Record<string, Fate>>;
  readonly #now: () => number;

  constructor(fates: Readonly<Record<string, Fate>>, now: () => number) {
    this.#fates = fates;
    this.#now = now;
  }

  connect(to: Endpoint, options: ConnectOptions): Promise<Connection> {
    const fate = this.#fates[to.host] ?? 'silent';
    this.#note(`+${to.host}`);
    assert.equal(to.port, 443);
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#note(`x${to.host}`);
        reject(options.signal?.reason);
      };
      if (fate === 'silent' || fate.evenIfAborted === undefined) {
        options.signal?.addEventListener('abort', abort, { once: true });
      }
      if (fate === 'silent') return;
      setTimeout(() => {
        if (fate.error === undefined) resolve(this.#connection(to));
        else reject(Object.assign(new Error(`${to.host} ${fate.error}`), { code: fate.error }));
      }, fate.after);
    });
  }

  #connection(remote: Endpoint): Connection {
    return {
      local: remote,
      remote,
      held: 0,
      cameBy: unused,
      read: unused,
      unread: unused,
      write: unused,
      onLost: unused,
      closeGracefully: unused,
      destroy: () => this.#note(`-${remote.host}`),
      detach: unused,
    };
  }

  #note(what: string): void {
    this.log.push(`${this.#now()} ${what}`);
  }
}

interface Run {
  readonly engine: ScriptedEngine;
  /** The connected address, or the error's message. */
  readonly outcome: () => string;
  readonly tick: (ms: number) => Promise<void>;
}

function run(
  t: TestContext,
  addresses: readonly string[],
  fates: Readonly<Record<string, Fate>>,
  signal?: AbortSignal,
  spare?: Spare,
): Run {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  let outcome = 'waits';
  const engine = new ScriptedEngine(fates, () => now);
  const ips = addresses.map((literal): Ip => parseIp(literal)!);
  const options = { timeout: 10_000, ...(signal && { signal }), ...(spare && { spare: () => spare }) };
  race(ips, 443, engine, options).then(
    ({ remote }) => (outcome = remote.host),
    (error: Error) => (outcome = error.message),
  );
  return {
    engine,
    outcome: () => outcome,
    tick: async (ms) => {
      for (let i = 0; i < ms; i += 10) {
        await turn();
        now += 10;
        t.mock.timers.tick(10);
      }
      await turn();
    },
  };
}

function unused(): never {
  assert.fail('not for a race');
}

/** Runs pending microtasks. */
async function turn(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test('the first address that answers at once is the only one tried', async (t) => {
  const { engine, outcome, tick } = run(t, [a6, a4], { [a6]: { after: 100 } });
  await tick(20_000);
  assert.equal(outcome(), a6);
  assert.deepEqual(engine.log, [`0 +${a6}`]);
});

test('alternates between families every 250 ms, starting with the family of the first address', async (t) => {
  const six = run(t, [a6, b6, c6, a4, b4], {});
  await six.tick(1500);
  assert.deepEqual(six.engine.log, [`0 +${a6}`, `250 +${a4}`, `500 +${b6}`, `750 +${b4}`, `1000 +${c6}`]);
  t.mock.timers.reset();

  const four = run(t, [a4, a6, b4, c4], {});
  await four.tick(1500);
  assert.deepEqual(four.engine.log, [`0 +${a4}`, `250 +${a6}`, `500 +${b4}`, `750 +${c4}`]);
});

test('the winner aborts the other attempts', async (t) => {
  const { engine, outcome, tick } = run(t, [a6, a4, b6], { [a4]: { after: 100 } });
  await tick(20_000);
  assert.equal(outcome(), a4);
  assert.deepEqual(engine.log, [`0 +${a6}`, `250 +${a4}`, `350 x${a6}`]);
});

test('a failure starts the next attempt at once', async (t) => {
  const { engine, outcome, tick } = run(t, [a6, b6, a4], {
    [a6]: { after: 10, error: 'ENETUNREACH' },
    [a4]: { after: 10, error: 'ECONNREFUSED' },
    [b6]: { after: 300 },
  });
  await tick(20_000);
  assert.equal(outcome(), b6);
  assert.deepEqual(engine.log, [`0 +${a6}`, `10 +${a4}`, `20 +${b6}`]);
});

test('an attempt continues while the next one runs, and can still win', async (t) => {
  const { engine, outcome, tick } = run(t, [a6, a4, b6], { [a6]: { after: 400 } });
  await tick(20_000);
  assert.equal(outcome(), a6);
  assert.deepEqual(engine.log, [`0 +${a6}`, `250 +${a4}`, `400 x${a4}`]);
});

test('a second winner is closed', async (t) => {
  const { engine, outcome, tick } = run(t, [a6, a4], {
    [a6]: { after: 400, evenIfAborted: true },
    [a4]: { after: 50 },
  });
  await tick(20_000);
  assert.equal(outcome(), a4);
  assert.deepEqual(engine.log, [`0 +${a6}`, `250 +${a4}`, `400 -${a6}`]);
});

test('two winners in the same moment: one is closed', async (t) => {
  const { engine, outcome, tick } = run(t, [a6, a4], {
    [a6]: { after: 300, evenIfAborted: true },
    [a4]: { after: 50, evenIfAborted: true },
  });
  await tick(20_000);
  assert.equal(outcome(), a6);
  assert.deepEqual(engine.log, [`0 +${a6}`, `250 +${a4}`, `300 -${a4}`]);
});

test('no answer in time', async (t) => {
  const { engine, outcome, tick } = run(t, [a6, a4], { [a4]: { after: 11_000, evenIfAborted: true } });
  await tick(9990);
  assert.equal(outcome(), 'waits');
  await tick(10);
  assert.equal(outcome(), 'no connection after 10000 ms');
  await tick(5000);
  assert.deepEqual(engine.log, [`0 +${a6}`, `250 +${a4}`, `10000 x${a6}`, `11250 -${a4}`]);
});

test('aborted by the caller', async (t) => {
  const controller = new AbortController();
  const { engine, outcome, tick } = run(
    t,
    [a6, a4, b6],
    { [a4]: { after: 100, evenIfAborted: true } },
    controller.signal,
  );
  await tick(300);
  controller.abort(new Error('gone'));
  await turn();
  assert.equal(outcome(), 'gone');
  await tick(20_000);
  assert.deepEqual(engine.log, [`0 +${a6}`, `250 +${a4}`, `300 x${a6}`, `350 -${a4}`]);
});

test('aborted before it starts', async (t) => {
  const { engine, outcome, tick } = run(t, [a6], {}, AbortSignal.abort(new Error('gone')));
  await tick(10);
  assert.equal(outcome(), 'gone');
  assert.deepEqual(engine.log, []);
});

/** The codes in the order of the addresses, and the address whose error is reported. */
const failures: readonly (readonly [told: Address, ...codes: string[]])[] = [
  [b4, 'ENETUNREACH', 'ECONNREFUSED'],
  [a4, 'ECONNREFUSED', 'ENETUNREACH'],
  [b4, 'ETIMEDOUT', 'ECONNREFUSED'],
  [b4, 'EHOSTUNREACH', 'ETIMEDOUT'],
  [b4, 'ENETUNREACH', 'EHOSTUNREACH'],
  [b4, 'EAFNOSUPPORT', 'ENETUNREACH'],
  [b4, 'ENETUNREACH', 'EMFILE'],
  [a4, 'EMFILE', 'EHOSTUNREACH'],
  [b4, 'EMFILE', 'ECONNRESET'],
  [a4, 'ETIMEDOUT', 'ETIMEDOUT'],
  [c4, 'ENETUNREACH', 'ETIMEDOUT', 'ECONNREFUSED'],
];

for (const [told, ...codes] of failures) {
  test(`${codes.join(' and ')}: the error of ${told} is reported`, async (t) => {
    const addresses: readonly Address[] = [a4, b4, c4].slice(0, codes.length);
    const fates = Object.fromEntries(codes.map((error, i) => [addresses[i]!, { after: 10, error }]));
    const { outcome, tick } = run(t, addresses, fates);
    await tick(100);
    assert.equal(outcome(), `${told} ${codes[addresses.indexOf(told)]}`);
  });
}

test('a refusal is more informative than a time-out', async (t) => {
  const { outcome, tick } = run(t, [a6, a4], { [a6]: { after: 10, error: 'ECONNREFUSED' } });
  await tick(10_000);
  assert.equal(outcome(), `${a6} ECONNREFUSED`);
});

test('a time-out is more informative than a missing route', async (t) => {
  const { outcome, tick } = run(t, [a6, a4], { [a6]: { after: 10, error: 'ENETUNREACH' } });
  await tick(10_000);
  assert.equal(outcome(), 'no connection after 10000 ms');
});

const many = Array.from({ length: 32 }, (_, i) => `192.0.2.${i + 1}`);

/** The largest number of concurrent attempts. */
function mostAtOnce(log: readonly string[]): number {
  let [open, most] = [0, 0];
  for (const line of log) {
    open += line.includes('+') ? 1 : -1;
    most = Math.max(most, open);
  }
  return most;
}

test('32 silent addresses: only a few are tried at a time, but all within the time-out', async (t) => {
  const spare = new Spare(100);
  const { engine, outcome, tick } = run(t, many, {}, undefined, spare);
  await tick(10_000);
  assert.equal(outcome(), 'no connection after 10000 ms');
  assert.equal(engine.log.filter((line) => line.includes('+')).length, 32);
  assert.equal(mostAtOnce(engine.log), 5);
  assert.deepEqual(
    engine.log.slice(0, 5).map((line) => line.split(' ')[0]),
    ['0', '250', '500', '750', '1000'],
  );
  assert.ok(spare.take(100), 'a spare descriptor is not given back');
});

test('the last of 32 addresses is reached', async (t) => {
  const { outcome, tick } = run(t, many, { [many.at(-1)!]: { after: 300 } });
  await tick(10_000);
  assert.equal(outcome(), many.at(-1));
});

test('an attempt is not cut short while there are spare descriptors', async (t) => {
  const { engine, outcome, tick } = run(t, many.slice(0, 5), { [many[0]!]: { after: 9000 } });
  await tick(9000);
  assert.equal(outcome(), many[0]);
  assert.equal(engine.log.filter((line) => line.startsWith('9000 x')).length, 4);
});

test('without spare descriptors, one address is tried at a time', async (t) => {
  const spare = new Spare(0);
  const { engine, outcome, tick } = run(t, [a6, a4, b4], { [b4]: { after: 300 } }, undefined, spare);
  await tick(10_000);
  assert.equal(outcome(), b4);
  assert.deepEqual(engine.log, [`0 +${a6}`, `2000 x${a6}`, `2000 +${a4}`, `4000 x${a4}`, `4000 +${b4}`]);
});

for (const [name, fates] of Object.entries({
  'a winner': { [c4]: { after: 10 } },
  failures: { [a4]: { after: 600, error: 'ECONNREFUSED' }, [c4]: { after: 10, error: 'ECONNREFUSED' } },
})) {
  test(`spare descriptors are returned after ${name}`, async (t) => {
    const spare = new Spare(2);
    const { tick } = run(t, [a4, b4, c4], fates, undefined, spare);
    await tick(550);
    await tick(10_000);
    assert.ok(spare.take(2));
    assert.ok(!spare.take());
  });
}
