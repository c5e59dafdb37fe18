import { getHeapStatistics } from 'node:v8';
import { Roster } from '../../net/roster.ts';
import type { Member } from '../../net/roster.ts';

/** Milliseconds between two looks at all of them. */
const SWEEP_INTERVAL = 1000;
/** Of the memory, and of V8's heap: what all destinations may take, with what waits for them. */
const MEMORY_FRACTION = 1 / 16;

/** An association, as far as all of them together are concerned. */
interface OpenAssociation extends Member {
  /** Bytes, about. */
  readonly held: number;
  /** Destinations that it could forget. */
  readonly known: number;
  /** Forgets a part of what it knows, the least used. */
  forget(): void;
  /** Ends what has lasted or been silent for long enough. */
  look(now: number): void;
}

/** The associations of a thread: one clock for their time-outs, and one budget for their destinations. */
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

  /** One of them holds so many bytes more, or less. */
  hold(bytes: number): void {
    this.#held += bytes;
  }

  /** Whether there is room for so many bytes more. Where it is short, the association that knows most destinations forgets some. */
  makeRoom(bytes: number): boolean {
    const lacking = this.#held + bytes - this.#budget();
    return lacking <= 0 || this.forget(lacking) >= lacking;
  }

  /** Forgets destinations of so many bytes, if there are that many; tells how many bytes that freed. */
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

/** What the destinations of one of so many threads may take. */
export function budgetFor(memory: number, threads: number): number {
  return MEMORY_FRACTION * Math.min(memory / threads, HEAP);
}

const HEAP = getHeapStatistics().heap_size_limit;
