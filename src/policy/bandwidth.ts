/** Milliseconds of unused bandwidth that may be caught up with at once. */
const BURST = 100;

/**
 * So many bytes per second in one direction, shared by whoever spends from it. What was spent is spread evenly over the time
 * after it (the generic cell rate algorithm). Times are milliseconds on a clock that never jumps.
 */
export class Bandwidth {
  /** Bytes per second; a reload may change it. */
  rate: number;
  #until = 0;

  constructor(rate: number) {
    this.rate = rate;
  }

  /** Notes bytes that pass; how long the next ones have to wait. */
  spend(bytes: number, now: number): number {
    this.#until = Math.max(this.#until, now - BURST) + (bytes * 1000) / this.rate;
    return Math.max(0, this.#until - now);
  }

  /** For datagrams, which cannot wait: whether one may pass. */
  isFree(now: number): boolean {
    return this.#until <= now;
  }
}
