/** Milliseconds of unused bandwidth that can be used in one burst. */
const BURST = 50;

/** Milliseconds of bandwidth that all streams together reserve at a time. */
export const RESERVED = 50;

/**
 * Milliseconds of bandwidth that may already be reserved when a datagram passes. Twice what streams reserve,
 * so streams cannot keep datagrams out.
 */
const DATAGRAMS = 2 * RESERVED;

/** A point in time, in milliseconds, that advances as bandwidth is used, and a count. */
export interface Meter {
  /** Advances it, starting no earlier than `from`, and returns the result. */
  advance(by: number, from: number, now: number): number;
  /** Adds to the count, and returns the result. */
  count(more: number, now: number): number;
}

/**
 * A number of bytes per second in one direction, shared by all its users. Usage is spread evenly over the
 * time after it (the generic cell rate algorithm). Times are milliseconds on a monotonic clock.
 */
export class Bandwidth {
  /** Bytes per second; a reload may change it. */
  rate: number;
  readonly #spent: Meter;
  readonly #byDatagrams: Meter;

  /**
   * `spent`: the time until which usage is spread, and the number of waiting streams; shared by all users of
   * the bandwidth, as is `byDatagrams`.
   */
  constructor(rate: number, spent: Meter = new OwnMeter(), byDatagrams: Meter = new OwnMeter()) {
    this.rate = rate;
    this.#spent = spent;
    this.#byDatagrams = byDatagrams;
  }

  /** The time at which these bytes may pass: after everything reserved before. */
  reserve(bytes: number, now: number): number {
    const time = this.#timeOf(bytes);
    return this.#spent.advance(time, now - BURST, now) - time;
  }

  /** For bytes that were reserved but did not pass. */
  giveBack(bytes: number, now: number): void {
    const time = this.#timeOf(bytes);
    this.#spent.advance(-time, now - BURST + time, now);
  }

  /** Adds to the number of waiting streams, and returns their number in all threads. */
  count(more: number, now: number): number {
    return this.#spent.count(more, now);
  }

  /** Whether a datagram, which cannot wait, may pass. */
  isFree(now: number): boolean {
    const latest = now + DATAGRAMS;
    return (
      this.#spent.advance(0, now - BURST, now) <= latest && this.#byDatagrams.advance(0, now, now) <= latest
    );
  }

  /**
   * Records a datagram that passes. While streams wait, it counts twice against the datagrams' share, which
   * limits them to half the bandwidth whatever their size.
   */
  pass(bytes: number, now: number): void {
    this.reserve(bytes, now);
    if (this.#spent.count(0, now) > 0) this.#byDatagrams.advance(2 * this.#timeOf(bytes), now, now);
  }

  /** Clears all debt, as after a change of the rate. */
  forget(now: number): void {
    forget(this.#spent, now - BURST, now);
    forget(this.#byDatagrams, now, now);
  }

  #timeOf(bytes: number): number {
    return (bytes * 1000) / this.rate;
  }
}

function forget(meter: Meter, from: number, now: number): void {
  const owed = meter.advance(0, from, now) - now;
  if (owed > 0) meter.advance(-owed, from + owed, now);
}

class OwnMeter implements Meter {
  #moment = 0;
  #count = 0;

  advance(by: number, from: number): number {
    this.#moment = Math.max(this.#moment, from) + by;
    return this.#moment;
  }

  count(more: number): number {
    this.#count += more;
    return this.#count;
  }
}
