import type { Meter } from './bandwidth.ts';
import type { Claim, LimitName } from './claims.ts';
import { halfSipHash } from './half-sip-hash.ts';

/** Held by a session until it is released. */
export interface Lease {
  /** The entries it is counted in; emptied on release. */
  readonly entries: number[];
}

/** `table`: the table has no room to count it. */
export type Acquired = { readonly lease: Lease } | { readonly refused: LimitName | 'table' };

/**
 * Memory for `Limits`, shared by all threads that count in it. `seed` is 64 random bits. `entries` is a power
 * of two, at least 32, of 16 bytes each; a session uses up to six. When the table is full, or crowded around
 * a key, rates are dropped first; when only sessions are left, the claim is refused. With about twelve times
 * as many entries as sessions, 131,072 for 10,000, this does not happen.
 */
export function createLimitMemory(
  seed: readonly [number, number],
  entries: number = 131_072,
): SharedArrayBuffer {
  if (entries < PROBES || !Number.isInteger(Math.log2(entries))) {
    throw new RangeError(`${entries} entries: not a power of two from ${PROBES} on`);
  }
  const memory = new SharedArrayBuffer((HEADER + entries * ENTRY) * Int32Array.BYTES_PER_ELEMENT);
  new Int32Array(memory).set(seed, SEED);
  return memory;
}

/** Counts claims against limits. All threads that share the memory count in the same table. */
export class Limits {
  readonly #words: Int32Array;
  /** The same memory as 64-bit words: the value of an entry is its second half. */
  readonly #values: Float64Array;
  readonly #seed: [number, number];
  readonly #mask: number;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
    this.#values = new Float64Array(memory);
    this.#seed = [this.#words[SEED]!, this.#words[SEED + 1]!];
    this.#mask = (this.#words.length - HEADER) / ENTRY - 1;
  }

  /** Takes all claims or none. `now`: milliseconds on a monotonic clock that all threads share. */
  acquire(claims: readonly Claim[], now: number): Acquired {
    if (claims.length === 0) return NOTHING;
    for (const claim of claims) claim.key ??= this.#key(claim.limit, claim.whom);
    this.#lock();
    try {
      return this.#take(claims, now);
    } finally {
      this.#unlock();
    }
  }

  /** Gives back what was acquired. Releasing twice has no effect. */
  release({ entries }: Lease): void {
    if (entries.length === 0) return;
    this.#lock();
    for (const entry of entries) this.#values[entry / 2 + VALUE]! -= 1;
    entries.length = 0;
    this.#unlock();
  }

  /** The usage of a bandwidth, and the number of streams waiting for it. */
  meter(...whom: readonly string[]): Meter {
    const spent = this.#key('bandwidth', whom);
    const waiting = this.#key('waiting', whom);
    return {
      advance: (by, from, now) => this.#advance(spent, by, from, now),
      count: (more, now) => this.#count(waiting, more, now),
    };
  }

  /** Stored as a rate is: a time, negated. Without room in the table, usage starts at `from`. */
  #advance(key: Key, by: number, from: number, now: number): number {
    this.#lock();
    try {
      const entry = this.#find(key, now);
      if (entry === undefined) return from + by;
      const moment = Math.max(-this.#values[entry / 2 + VALUE]!, from) + by;
      this.#words[entry] = key[0];
      this.#words[entry + 1] = key[1];
      this.#values[entry / 2 + VALUE] = -moment;
      return moment;
    } finally {
      this.#unlock();
    }
  }

  /** Without room in the table, only the caller's own change is returned. */
  #count(key: Key, more: number, now: number): number {
    this.#lock();
    try {
      const entry = this.#find(key, now);
      if (entry === undefined) return more;
      const count = Math.max(0, this.#values[entry / 2 + VALUE]! + more);
      this.#words[entry] = key[0];
      this.#words[entry + 1] = key[1];
      this.#values[entry / 2 + VALUE] = count;
      return count;
    } finally {
      this.#unlock();
    }
  }

  #key(limit: LimitName | 'bandwidth' | 'waiting', whom: readonly string[]): Key {
    // Names of limits and rules contain no NUL, so different claims never produce the same text.
    return halfSipHash(encoder.encode(`${limit}\0${whom.join('\0')}`), this.#seed);
  }

  #take(claims: readonly Claim[], now: number): Acquired {
    const entries: number[] = [];
    const undo: [at: number, before: number][] = [];
    for (const claim of claims) {
      const key = claim.key!;
      const entry = this.#find(key, now);
      const at = (entry ?? 0) / 2 + VALUE;
      const after = entry === undefined ? undefined : taken(claim, this.#values[at]!, now);
      if (entry === undefined || after === undefined) {
        for (const [place, before] of undo.toReversed()) this.#values[place] = before;
        return { refused: entry === undefined ? 'table' : claim.limit };
      }
      undo.push([at, this.#values[at]!]);
      this.#words[entry] = key[0];
      this.#words[entry + 1] = key[1];
      this.#values[at] = after;
      if (claim.per === undefined) entries.push(entry);
    }
    // An array that grew by push() has spare capacity, which a lease would hold for the life of its session.
    return { lease: { entries: entries.slice() } };
  }

  /**
   * The entry of a key or, if it has none, a free one. A key is within PROBES entries of its hash, or absent.
   */
  #find([low, high]: Key, now: number): number | undefined {
    const words = this.#words;
    let free: number | undefined;
    let soonest: number | undefined;
    for (let i = 0; i < PROBES; i++) {
      const entry = HEADER + ((low + i) & this.#mask) * ENTRY;
      if (words[entry] === low && words[entry + 1] === high) return entry;
      const value = this.#values[entry / 2 + VALUE]!;
      if (isFree(value, now)) free ??= entry;
      else if (value < 0 && (soonest === undefined || value > this.#values[soonest / 2 + VALUE]!))
        soonest = entry;
    }
    // Other clients' rates must not cause a refusal: the one that expires first is dropped.
    free ??= soonest;
    // The previous owner's value no longer means anything.
    if (free !== undefined) this.#values[free / 2 + VALUE] = 0;
    return free;
  }

  /** Held only for the few stores of one acquire or release. */
  #lock(): void {
    if (Atomics.compareExchange(this.#words, LOCK, FREE, HELD) === FREE) return;
    while (Atomics.exchange(this.#words, LOCK, AWAITED) !== FREE) Atomics.wait(this.#words, LOCK, AWAITED, 1);
  }

  #unlock(): void {
    if (Atomics.exchange(this.#words, LOCK, FREE) === AWAITED) Atomics.notify(this.#words, LOCK, 1);
  }
}

const encoder = new TextEncoder();

type Key = readonly [low: number, high: number];

const NOTHING: Acquired = { lease: { entries: [] } };

// Layout in 32-bit words: a lock, the seed, then entries of a two-word key and a 64-bit value.
const LOCK = 0;
const [FREE, HELD, AWAITED] = [0, 1, 2];
const SEED = 1;
const HEADER = 4;
const ENTRY = 4;
/** Offset of an entry's value from its start, in 64-bit words. */
const VALUE = 1;
const PROBES = 32;

/** A count is free at 0; a rate, a negated time, once that time has passed. */
function isFree(value: number, now: number): boolean {
  return value <= 0 && -value <= now;
}

/**
 * The value with one more taken; `undefined` when the limit is reached. A rate is stored as the negated time
 * at which everything taken has been spread out evenly (the generic cell rate algorithm); it can lie up to
 * `per` ahead.
 */
function taken({ most, per }: Claim, value: number, now: number): number | undefined {
  if (per === undefined) return value < most ? value + 1 : undefined;
  const until = Math.max(-value, now) + per / most;
  // Rounding errors must not cause a refusal.
  return until - now <= per + 1e-6 ? -until : undefined;
}
