/** Milliseconds of unused bandwidth that may be caught up with at once. */
const BURST = 100;

/** A moment, in milliseconds, that moves on as something is spent. */
export interface Meter {
  /** Moves it on, from `from` where it lies before that; tells where it is then. */
  advance(by: number, from: number, now: number): number;
}

/**
 * So many bytes per second in one direction, shared by whoever spends from it. What was spent is spread evenly over the time
 * after it (the generic cell rate algorithm). Times are milliseconds on a clock that never jumps.
 */
export class Bandwidth {
  /** Bytes per second; a reload may change it. */
  rate: number;
  readonly #spent: Meter;

  /** `spent`: until when what was spent is spread; shared by those who share the bandwidth. */
  constructor(rate: number, spent: Meter = new OwnMeter()) {
    this.rate = rate;
    this.#spent = spent;
  }

  /** Notes bytes that pass; how long the next ones have to wait. */
  spend(bytes: number, now: number): number {
    return Math.max(0, this.#spent.advance((bytes * 1000) / this.rate, now - BURST, now) - now);
  }

  /** For datagrams, which cannot wait: whether one may pass. */
  isFree(now: number): boolean {
    return this.#spent.advance(0, now - BURST, now) <= now;
  }
}

class OwnMeter implements Meter {
  #moment = 0;

  advance(by: number, from: number): number {
    this.#moment = Math.max(this.#moment, from) + by;
    return this.#moment;
  }
}
