import { createHash } from 'node:crypto';
import { LruMap } from '../limits/lru-map.ts';
import type { CheckOptions, HealthOptions } from './options.ts';

/** Servers, groups and chains that can be told apart. */
const SLOTS = 4096;
// Words of a slot.
const KEY = 0;
const SESSIONS = 1;
const FAILURES = 2;
/** Seconds on the clock below until which it is passed over; 0 = it is well. */
const DOWN_UNTIL = 3;
/** Good ones in a row while it is passed over. */
const RECOVERED = 4;
const TURN = 5;
const WORDS = 6;

/** Seconds for which one is passed over, at least. */
const REST = 30;
/** Where there are checks, it is until they say otherwise; if no more come, so many intervals. */
const UNCHECKED = 4;

/** For the health of upstreams in all threads. */
export function createHealthMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(SLOTS * WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/** Told that one has failed too often, and why, or without a reason that it is well again. */
export type Changed = (label: string, why?: string) => void;

/**
 * How the members of groups do, by label: counted by all threads together, from what happens in use and from checks. Passed
 * over means tried last, not never: when all are, the first may be well again.
 */
export class Health {
  readonly #words: Int32Array;
  readonly #changed: Changed;
  /** Where the words of a label begin. Servers that are discovered come and go. */
  readonly #slots = new LruMap<number>(SLOTS);
  /** Labels of those that are asked right now whether they are well. */
  readonly asked: Set<string> = new Set();
  /** Ends these questions. */
  readonly closing: AbortController = new AbortController();
  /** Of the sessions that are counted here. */
  readonly #leaves = new Set<() => void>();

  /** Of all threads that share the memory, the one that makes a change is told. */
  constructor(memory: SharedArrayBuffer = createHealthMemory(), changed: Changed = () => {}) {
    this.#words = new Int32Array(memory);
    this.#changed = changed;
  }

  isUp(label: string): boolean {
    return Atomics.load(this.#words, this.#slot(label) + DOWN_UNTIL) <= seconds();
  }

  /** It was reached, and understood. Where there are checks it has to be so several times in a row. */
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

  /** After `fail` times in a row it is passed over, and longer after each. */
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

  /** Counts a session, until the returned function is called. */
  enter(label: string): () => void {
    const at = this.#slot(label) + SESSIONS;
    Atomics.add(this.#words, at, 1);
    const leave = (): void => {
      if (this.#leaves.delete(leave)) Atomics.sub(this.#words, at, 1);
    };
    this.#leaves.add(leave);
    return leave;
  }

  /** For a thread that dies: none of its sessions are counted any more. */
  forgetAll(): void {
    for (const leave of this.#leaves) leave();
  }

  /** 0, 1, 2, … for whoever asks. */
  takeTurn(label: string): number {
    return Atomics.add(this.#words, this.#slot(label) + TURN, 1) & 0x7fff_ffff;
  }

  /** Where the words of a label begin. All threads find the same place. */
  #slot(label: string): number {
    const known = this.#slots.get(label);
    if (known !== undefined) return known;
    const hash = createHash('sha256').update(label).digest();
    // 0 is a slot that nobody has.
    const key = hash.readInt32LE(0) | 1;
    const first = hash.readUInt32LE(4) % SLOTS;
    let place = first;
    do {
      const before = Atomics.compareExchange(this.#words, place * WORDS + KEY, 0, key);
      if (before === 0 || before === key) break;
      place = (place + 1) % SLOTS;
    } while (place !== first); // when all are taken, two share one
    this.#slots.set(label, place * WORDS);
    return place * WORDS;
  }
}

/** Seconds. */
function restOf(check: CheckOptions | undefined): number {
  return Math.max(REST, Math.ceil(((check?.every ?? 0) * UNCHECKED) / 1000));
}

/** Since the machine was started: the same for all threads. */
function seconds(): number {
  return process.hrtime()[0];
}
