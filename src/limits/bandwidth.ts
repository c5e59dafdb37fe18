/** Milliseconds of unused bandwidth that may be caught up with at once. */
const BURST = 50;

/** Milliseconds of bandwidth that streams reserve at a time, all of them together. */
export const RESERVED = 50;

/** Milliseconds of bandwidth that may be spoken for when a datagram passes. With twice what streams reserve, they do not keep it out. */
const DATAGRAMS = 2 * RESERVED;

/** A moment, in milliseconds, that moves on as something is spent, and a count. */
export interface Meter {
  /** Moves it on, from `from` where it lies before that; tells where it is then. */
  advance(by: number, from: number, now: number): number;
  /** Counts so many more, or fewer; tells how many there are then. */
  count(more: number, now: number): number;
}

/**
 * So many bytes per second in one direction, shared by all that spend from it. What was spent is spread evenly over the time
 * after it (the generic cell rate algorithm). Times are milliseconds on a clock that never jumps.
 */
export class Bandwidth {
  /** Bytes per second; a reload may change it. */
  rate: number;
  readonly #spent: Meter;
  readonly #byDatagrams: Meter;

  /** `spent`: until when what was spent is spread, and who waits; shared by those who share the bandwidth, as is what datagrams have spent. */
  constructor(rate: number, spent: Meter = new OwnMeter(), byDatagrams: Meter = new OwnMeter()) {
    this.rate = rate;
    this.#spent = spent;
    this.#byDatagrams = byDatagrams;
  }

  /** From when on these bytes may pass: behind all that were reserved before. */
  reserve(bytes: number, now: number): number {
    const time = this.#timeOf(bytes);
    return this.#spent.advance(time, now - BURST, now) - time;
  }

  /** Bytes that were reserved and did not pass. */
  giveBack(bytes: number, now: number): void {
    const time = this.#timeOf(bytes);
    this.#spent.advance(-time, now - BURST + time, now);
  }

  /** So many more streams wait for their turn, or fewer: how many they are, in all threads. */
  count(more: number, now: number): number {
    return this.#spent.count(more, now);
  }

  /** For datagrams, which cannot wait: whether one may pass. */
  isFree(now: number): boolean {
    const latest = now + DATAGRAMS;
    return (
      this.#spent.advance(0, now - BURST, now) <= latest && this.#byDatagrams.advance(0, now, now) <= latest
    );
  }

  /** One passes. While streams wait it counts twice among datagrams, so that those have half, however large each is. */
  pass(bytes: number, now: number): void {
    this.reserve(bytes, now);
    if (this.#spent.count(0, now) > 0) this.#byDatagrams.advance(2 * this.#timeOf(bytes), now, now);
  }

  /** Nothing is owed any more, as after a change of the rate. */
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
