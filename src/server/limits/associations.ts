import { getHeapStatistics } from 'node:v8';
import { Roster } from '../../net/roster.ts';
import type { RosterMember } from '../../net/roster.ts';

/** Milliseconds between two sweeps over all associations. */
const SWEEP_INTERVAL = 1000;
/**
 * The fraction of memory, and of V8's heap, that all destinations can use, with the datagrams that wait for
 * them.
 */
const MEMORY_FRACTION = 1 / 16;

/** The part of an association that counts towards the limits of all. */
interface OpenAssociation extends RosterMember {
  /** Bytes, approximately. */
  readonly held: number;
  /** Destinations that it could forget. */
  readonly known: number;
  /** Forgets some destinations, the least recently used. */
  forget(): void;
  /** Ends destinations that have lasted or been idle for too long. */
  look(now: number): void;
}

/** The associations of a thread, with one clock for their time-outs and one budget for their destinations. */
export class Associations implements Disposable {
  readonly #open = new Roster<OpenAssociation>();
  readonly #budget: () => number;
  #held = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `budget`: bytes. */
  constructor(budget: () => number) {
    this.#budget = budget;
  }

  /** In bytes. */
  get held(): number {
    return this.#held;
  }

  [Symbol.iterator](): Iterator<OpenAssociation> {
    return this.#open[Symbol.iterator]();
  }

  add(association: OpenAssociation): void {
    this.#open.add(association);
    this.#timer ??= setInterval(() => {
      const now = performance.now();
      for (const one of this) one.look(now);
    }, SWEEP_INTERVAL).unref();
  }

  delete(association: OpenAssociation): void {
    this.#held -= association.held;
    this.#open.delete(association);
    if (this.#open.size === 0) this[Symbol.dispose]();
  }

  /** The memory of an association has changed by this many bytes. */
  hold(bytes: number): void {
    this.#held += bytes;
  }

  /**
   * Whether there is room for this many more bytes. When it is short, the association with the most
   * destinations forgets some.
   */
  makeRoom(bytes: number): boolean {
    const lacking = this.#held + bytes - this.#budget();
    return lacking <= 0 || this.forget(lacking) >= lacking;
  }

  /**
   * Forgets destinations until this many bytes are free, or none is left; returns the bytes that this freed.
   */
  forget(bytes: number): number {
    const before = this.#held;
    while (before - this.#held < bytes) {
      const held = this.#held;
      let most: OpenAssociation | undefined;
      for (const one of this.#open) if (one.known > (most?.known ?? 0)) most = one;
      most?.forget();
      if (this.#held >= held) break;
    }
    return before - this.#held;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** The budget for the destinations of each thread. */
export function budgetFor(memory: number, threads: number): number {
  return MEMORY_FRACTION * Math.min(memory / threads, HEAP);
}

const HEAP = getHeapStatistics().heap_size_limit;
