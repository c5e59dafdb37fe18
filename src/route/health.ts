import { createHash } from 'node:crypto';
import { LruMap } from '../limits/lru-map.ts';
import type { CheckOptions, HealthOptions } from './options.ts';

/** Servers, groups and chains that can be tracked separately. */
const SLOTS = 4096;
// Offsets of the words in a slot.
const KEY = 0;
const SESSIONS = 1;
const FAILURES = 2;
/** Until when it is passed over, in seconds of the clock below; 0 = healthy. */
const DOWN_UNTIL = 3;
/** Consecutive successes while it is passed over. */
const RECOVERED = 4;
const TURN = 5;
const WORDS = 6;

/** Minimum time for which a member is passed over, in seconds. */
const REST = 30;
/**
 * With checks, a member is passed over until they succeed, or for this many intervals if there are no more
 * checks.
 */
const UNCHECKED = 4;

/** Memory for the health of upstreams, shared by all threads. */
export function createHealthMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(SLOTS * WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/** Called with a reason when a member goes down, and without one when it has recovered. */
export type Changed = (label: string, why?: string) => void;

/**
 * The health of group members by label, from real use and from checks, counted across all threads. A member
 * that is passed over is tried last, not never: when all are down, the first may have recovered.
 */
export class Health {
  readonly #words: Int32Array;
  readonly #changed: Changed;
  /** The offset of each label's slot. Bounded, because discovered servers come and go. */
  readonly #slots = new LruMap<number>(SLOTS);
  /** Labels of members that are being checked because they stayed silent. */
  readonly asked: Set<string> = new Set();
  /** Ends these checks. */
  readonly closing: AbortController = new AbortController();
  /** Undo the sessions that are counted by this thread. */
  readonly #leaves = new Set<() => void>();

  /** `changed` is called only in the thread that makes the change. */
  constructor(memory: SharedArrayBuffer = createHealthMemory(), changed: Changed = () => {}) {
    this.#words = new Int32Array(memory);
    this.#changed = changed;
  }

  isUp(label: string): boolean {
    return Atomics.load(this.#words, this.#slot(label) + DOWN_UNTIL) <= seconds();
  }

  /** The member was reached, and understood. With checks, it must succeed several times in a row. */
  succeeded(label: string, { check }: HealthOptions): void {
    const slot = this.#slot(label);
    Atomics.store(this.#words, slot + FAILURES, 0);
    const downUntil = Atomics.load(this.#words, slot + DOWN_UNTIL);
    if (downUntil === 0) return;
    const recovered = Atomics.add(this.#words, slot + RECOVERED, 1) + 1;
    const isWell = recovered >= (check?.recover ?? 1);
    const until = isWell ? 0 : seconds() + restOf(check);
    const before = Atomics.compareExchange(this.#words, slot + DOWN_UNTIL, downUntil, until);
    if (isWell && before === downUntil) this.#changed(label);
  }

  /** After `fail` failures in a row the member is passed over; each further failure extends the time. */
  failed(label: string, { fail, check }: HealthOptions, why: string): void {
    const slot = this.#slot(label);
    Atomics.store(this.#words, slot + RECOVERED, 0);
    if (Atomics.add(this.#words, slot + FAILURES, 1) + 1 < fail) return;
    const before = Atomics.exchange(this.#words, slot + DOWN_UNTIL, seconds() + restOf(check));
    if (before === 0) this.#changed(label, why);
  }

  sessions(label: string): number {
    return Atomics.load(this.#words, this.#slot(label) + SESSIONS);
  }

  /** Counts a session until the returned function is called. */
  enter(label: string): () => void {
    const at = this.#slot(label) + SESSIONS;
    Atomics.add(this.#words, at, 1);
    const leave = (): void => {
      if (this.#leaves.delete(leave)) Atomics.sub(this.#words, at, 1);
    };
    this.#leaves.add(leave);
    return leave;
  }

  /** Drops all sessions of this thread from the count when it dies. */
  forgetAll(): void {
    for (const leave of this.#leaves) leave();
  }

  /** 0, 1, 2, … across all threads. */
  takeTurn(label: string): number {
    return Atomics.add(this.#words, this.#slot(label) + TURN, 1) & 0x7fff_ffff;
  }

  /** The offset of a label's slot. All threads find the same one. */
  #slot(label: string): number {
    const known = this.#slots.get(label);
    if (known !== undefined) return known;
    const hash = createHash('sha256').update(label).digest();
    // 0 marks a free slot.
    const key = hash.readInt32LE(0) | 1;
    const first = hash.readUInt32LE(4) % SLOTS;
    let place = first;
    do {
      const before = Atomics.compareExchange(this.#words, place * WORDS + KEY, 0, key);
      if (before === 0 || before === key) break;
      place = (place + 1) % SLOTS;
    } while (place !== first); // when all are taken, two labels share one
    this.#slots.set(label, place * WORDS);
    return place * WORDS;
  }
}

/** Seconds. */
function restOf(check: CheckOptions | undefined): number {
  return Math.max(REST, Math.ceil(((check?.every ?? 0) * UNCHECKED) / 1000));
}

/** Since boot: the same clock for all threads. */
function seconds(): number {
  return process.hrtime()[0];
}
