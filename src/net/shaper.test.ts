import assert from 'node:assert/strict';
import { mock, suite, test } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import { Bandwidth } from '../limits/bandwidth.ts';
import { createLimitMemory, Limits } from '../limits/limits.ts';
import type { Pace, Paced } from './engine.ts';
import { Shaper } from './shaper.ts';

/** A clock that the test advances, for the shapers of several threads. */
class Clock implements Disposable {
  now = 1_000_000;
  readonly #limits = new Limits(createLimitMemory([1, 2]));
  readonly #timers = mock.timers;
  readonly #turns: number;

  /** `turns` of the event loop per millisecond. */
  constructor(turns = 2) {
    this.#turns = turns;
    this.#timers.enable({ apis: ['setTimeout'] });
  }

  share(rate: number): Shaper {
    return new Shaper(new Bandwidth(rate, this.#limits.meter('send', 'rule')), () => this.now);
  }

  /** The number of waiting streams, as counted by the threads. */
  get waiting(): number {
    return this.#limits.meter('send', 'rule').count(0, this.now);
  }

  async pass(milliseconds: number, each: () => void = () => {}): Promise<void> {
    for (let i = 0; i < milliseconds; i++) {
      this.now++;
      this.#timers.tick(1);
      each();
      for (let turn = 0; turn < this.#turns; turn++) await immediate();
    }
  }

  [Symbol.dispose](): void {
    this.#timers.reset();
  }
}

/** Takes all that it is allowed, up to `has`. */
class Source implements Paced {
  taken = 0;
  has: number;
  readonly pace: Pace;

  constructor(pace: Pace, has = Infinity) {
    this.pace = pace;
    this.has = has;
    this.ask();
  }

  ask(): void {
    if (this.has > 0) this.pace.ask(this);
  }

  add(bytes: number): void {
    this.has += bytes;
    this.ask();
  }

  take(most: number): number {
    assert.ok(most >= 1);
    const taken = Math.min(most, this.has);
    this.has -= taken;
    this.taken += taken;
    this.ask();
    return taken;
  }
}

function sources(shaper: Shaper, count: number, own?: number): Source[] {
  return Array.from(
    { length: count },
    () => new Source(shaper.pace(own === undefined ? undefined : new Bandwidth(own))),
  );
}

function sum(all: readonly Source[]): number {
  return all.reduce((bytes, { taken }) => bytes + taken, 0);
}

/** Each has taken this many bytes, within a tenth. */
function assertEach(all: readonly Source[], bytes: number): void {
  for (const { taken } of all) assert.ok(taken > 0.9 * bytes && taken < 1.1 * bytes, `${taken} of ${bytes}`);
}

suite('Shaper', () => {
  for (const [rate, seconds, tolerance] of [
    [1, 5, 2],
    [50_000, 4, 10_000],
    [10_000_000, 2, 1_500_000],
    [1_000_000_000, 1, 100_000_000],
  ] as const) {
    test(`a single stream has all of it, and no more: ${rate} bytes a second`, async () => {
      using clock = new Clock(8);
      const source = new Source(clock.share(rate).pace());
      await clock.pass(seconds * 1000);
      assert.ok(Math.abs(source.taken - rate * seconds) <= tolerance, `${source.taken} bytes`);
      source.pace.leave();
    });
  }

  test('streams in all threads have equal shares', async () => {
    using clock = new Clock();
    const all = [...sources(clock.share(50_000), 3), ...sources(clock.share(50_000), 9)];
    await clock.pass(1000);
    for (const source of all) source.taken = 0;
    await clock.pass(6000);
    assert.equal(clock.waiting, 12);
    assertEach(all, (50_000 * 6) / 12);
  });

  test('bandwidth that one stream does not need is divided among the others, in all threads', async () => {
    using clock = new Clock();
    const [here, there] = [clock.share(100_000), clock.share(100_000)];
    const modest = new Source(here.pace(), 0);
    const slow = new Source(there.pace(new Bandwidth(10_000)));
    const greedy = [...sources(here, 2), ...sources(there, 2)];
    await clock.pass(6000, () => modest.add(5));
    assertEach([modest], 5 * 6000);
    assertEach([slow], 10_000 * 6);
    assertEach(greedy, ((100_000 - 5000 - 10_000) * 6) / 4);
  });

  test('but not at the expense of streams waiting in the same thread', async () => {
    using clock = new Clock();
    const [here, there] = [clock.share(400_000), clock.share(400_000)];
    const modest = new Source(here.pace(), 0);
    const greedy = [...sources(here, 1), ...sources(there, 11)];
    let passed = 0;
    const supply = (): void => void (passed++ % 50 === 0 && modest.add(1000));
    await clock.pass(1000, supply);
    for (const source of [modest, ...greedy]) source.taken = 0;
    await clock.pass(4000, supply);
    assertEach([modest], 20_000 * 4);
    assertEach(greedy, ((400_000 - 20_000) * 4) / 12);
  });

  test('a stream whose bytes arrive in pieces has as much as the others', async () => {
    using clock = new Clock();
    const share = clock.share(1_000_000);
    const pieces = new Source(share.pace(), 0);
    const greedy = sources(share, 3);
    await clock.pass(4000, () => {
      if (pieces.has === 0) pieces.add(16_384);
    });
    assertEach([pieces, ...greedy], (1_000_000 * 4) / 4);
  });

  test('a stream that used a lot while alone does not pay for it when others join', async () => {
    using clock = new Clock();
    const share = clock.share(50_000);
    const first = new Source(share.pace());
    await clock.pass(1000);
    const others = sources(share, 10);
    await clock.pass(500);
    const all = [first, ...others];
    for (const source of all) source.taken = 0;
    await clock.pass(3000);
    for (const { taken } of all)
      assert.ok(Math.abs((taken * all.length) / 150_000 - 1) < 0.25, `${taken} of ${150_000 / all.length}`);
  });

  test('a newcomer does not wait long behind many, nor they behind many newcomers', async () => {
    using clock = new Clock();
    const shares = [clock.share(50_000), clock.share(50_000)] as const;
    const all = shares.flatMap((share) => sources(share, 75));
    await clock.pass(100);
    const newcomer = new Source(shares[0].pace());
    await clock.pass(600);
    assert.ok(newcomer.taken > 0);
    for (const { taken } of all) assert.ok(taken > 0, 'somebody has had nothing');
    for (const { pace } of all) pace.leave();
    const alone = newcomer.taken;
    await clock.pass(2000);
    assert.ok(newcomer.taken - alone > 0.9 * 2 * 50_000, `${newcomer.taken - alone} bytes`);
  });

  test('any two seconds carry no more than the rate and one burst', async () => {
    using clock = new Clock();
    const share = clock.share(1_000_000);
    const all = sources(share, 5);
    const counts: number[] = [];
    for (let i = 0; i < 40; i++) {
      // Some pause, and some resume.
      for (const source of all.slice(i % 5)) source.has = i % 3 === 0 ? 0 : 1e9;
      for (const source of all) source.ask();
      await clock.pass(100);
      counts.push(sum(all));
    }
    for (let i = 20; i < counts.length; i++) {
      const most = counts[i]! - counts[i - 20]!;
      assert.ok(most <= 2_200_000, `${most} bytes in two seconds`);
    }
  });

  test('a stream that leaves gets no turn, and one that has enough is no longer counted', async () => {
    using clock = new Clock();
    const share = clock.share(1000);
    const all = sources(share, 10);
    await clock.pass(1000);
    const taken = sum(all);
    for (const { pace } of all) pace.leave();
    for (const { pace } of all) assert.equal(pace.waits, false);
    const last = new Source(share.pace(), 100);
    await clock.pass(1000);
    assert.equal(sum(all), taken);
    assert.equal(last.taken, 100);
    assert.equal(clock.waiting, 0);
  });

  test('a dying thread leaves all of it to the others', async () => {
    using clock = new Clock();
    const [dying, living] = [clock.share(50_000), clock.share(50_000)];
    const gone = sources(dying, 9);
    const source = new Source(living.pace());
    await clock.pass(1000);
    dying.abandon();
    for (const one of gone) one.has = 0;
    await clock.pass(200);
    assert.equal(clock.waiting, 1);
    const before = source.taken;
    await clock.pass(2000);
    assert.ok(source.taken - before > 0.9 * 2 * 50_000, `${source.taken - before} bytes`);
  });

  test('a new rate applies at once to waiting streams: a higher one, none, a lower one', async () => {
    using clock = new Clock();
    const share = clock.share(1);
    const source = new Source(share.pace());
    await clock.pass(100);
    share.bandwidth.reserve(60, clock.now);
    const during = async (rate: number, has: number): Promise<number> => {
      source.has = has;
      source.ask();
      share.use(rate);
      const before = source.taken;
      await clock.pass(1000);
      return source.taken - before;
    };
    const higher = await during(100_000, Infinity);
    assert.ok(higher > 90_000 && higher < 120_000, `${higher} bytes`);
    assert.equal(await during(Infinity, 50_000_000), 50_000_000);
    assert.equal(clock.waiting, 0);
    const lower = await during(1000, Infinity);
    assert.ok(lower > 900 && lower < 1200, `${lower} bytes`);
  });
});
