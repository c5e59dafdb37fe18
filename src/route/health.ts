import { createHash } from 'node:crypto';
import type { HealthOptions } from './options.ts';

/** Servers, groups and chains that can be told apart. */
const SLOTS = 4096;
// Words of a slot.
const KEY = 0;
const SESSIONS = 1;
const FAILURES = 2;
/** Seconds on the clock below until which it is passed over; 0 = it is not. */
const DOWN_UNTIL = 3;
const TURN = 4;
const WORDS = 5;

/** Seconds for which one is passed over. */
const REST = 30;

/** For the health of upstreams in all threads. */
export function createHealthMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(SLOTS * WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/**
 * How the members of groups do, by label: counted by all threads together, from what happens in use and from checks. Passed
 * over means tried last, not never: when all are, the first may be well again.
 */
export class Health {
  readonly #words: Int32Array;
  readonly #slots = new Map<string, number>();

  constructor(memory: SharedArrayBuffer = createHealthMemory()) {
    this.#words = new Int32Array(memory);
  }

  isUp(label: string): boolean {
    return Atomics.load(this.#words, this.#slot(label) + DOWN_UNTIL) <= seconds();
  }

  /** It was reached, and understood. */
  succeeded(label: string): void {
    const slot = this.#slot(label);
    Atomics.store(this.#words, slot + FAILURES, 0);
    Atomics.store(this.#words, slot + DOWN_UNTIL, 0);
  }

  /** After `fail` times in a row it is passed over for a while, and then after each. */
  failed(label: string, { fail }: HealthOptions): void {
    const slot = this.#slot(label);
    if (Atomics.add(this.#words, slot + FAILURES, 1) + 1 < fail) return;
    Atomics.store(this.#words, slot + DOWN_UNTIL, seconds() + REST);
  }

  sessions(label: string): number {
    return Atomics.load(this.#words, this.#slot(label) + SESSIONS);
  }

  /** Counts a session, until the returned function is called. */
  enter(label: string): () => void {
    const at = this.#slot(label) + SESSIONS;
    Atomics.add(this.#words, at, 1);
    let inside = true;
    return () => {
      if (inside) Atomics.sub(this.#words, at, 1);
      inside = false;
    };
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
    for (let i = 0; i < SLOTS; i++) {
      const slot = ((hash.readUInt32LE(4) + i) % SLOTS) * WORDS;
      const before = Atomics.compareExchange(this.#words, slot + KEY, 0, key);
      if (before !== 0 && before !== key) continue;
      this.#slots.set(label, slot);
      return slot;
    }
    throw new RangeError(`more than ${SLOTS} upstreams`);
  }
}

/** Since the machine was started: the same for all threads. */
function seconds(): number {
  return process.hrtime()[0];
}
