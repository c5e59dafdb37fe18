import type { Spare } from './spare.ts';
import { Crowd } from './crowd.ts';
import { LruMap } from './lru-map.ts';

export interface TurnsOptions {
  /** Tasks at a time. */
  readonly running: number;
  /** Tasks that may wait for their turn. */
  readonly waiting: number;
  /** Numbers from 0 to 1. @default Math.random */
  readonly random?: () => number;
  /** The pool of descriptors, `each` per task. @default unlimited */
  readonly spare?: Spare | undefined;
  /** @default 1 */
  readonly each?: number;
  /** Tasks that can always run: they take no spare descriptors. @default 1 */
  readonly least?: number;
}

/** The groups of the caller, widest first (see `Crowd`). Called only when it has to wait. */
export type Asker = () => readonly string[];

/** True when its turn has come; false when it has lost its slot in the queue. */
type Turn = (mine: boolean) => void;

/** Decides which group gives way: the highest rank first. */
interface Rank {
  readonly value: number;
  /** The number of turns taken when the rank was drawn. */
  readonly since: number;
}

/** Groups whose rank is kept. */
const RANKS = 10_000;

/**
 * Runs a few tasks at a time while a limited number of others wait. Groups take turns, and when the queue is
 * full the largest group gives way, so a flood delays only itself. Among groups of equal size, the one that
 * had a turn most recently gives way; among those that have not had one, a random rank decides and holds for
 * as many turns as the queue has slots, so asking more often does not improve the odds.
 */
export class FairQueue {
  readonly #limit: number;
  readonly #waiting: number;
  readonly #spare: Spare | undefined;
  readonly #each: number;
  readonly #least: number;
  readonly #random: () => number;
  readonly #line = new Crowd<Turn>();
  readonly #ranks = new LruMap<Rank>(RANKS);
  #turns = 0;
  #running = 0;

  constructor({ running, waiting, spare, each = 1, least = 1, random = Math.random }: TurnsOptions) {
    this.#limit = running;
    this.#waiting = waiting;
    this.#spare = spare;
    this.#each = each;
    this.#least = least;
    this.#random = random;
  }

  /** Runs the task when its turn comes; `undefined` when the queue has no slot for it. */
  async run<T>(asker: Asker, task: () => Promise<T>): Promise<T | undefined> {
    // New tasks must not overtake waiting ones.
    if (this.#line.size === 0 && this.#mayRun()) this.#running++;
    else if (!(await this.#wait(asker))) return undefined;
    try {
      return await task();
    } finally {
      const next = this.#next();
      if (next === undefined) this.#end();
      else next(true);
      this.#admit();
    }
  }

  #mayRun(): boolean {
    if (this.#running < this.#least) return true;
    return this.#running < this.#limit && (this.#spare?.take(this.#each) ?? true);
  }

  #end(): void {
    if (this.#running > this.#least) this.#spare?.give(this.#each);
    this.#running--;
  }

  #wait(asker: Asker): Promise<boolean> {
    return new Promise((turn) => {
      this.#line.join(asker(), turn);
      if (this.#line.size > this.#waiting) {
        const largest = this.#line.largest(this.#rankOf);
        const last = largest.newest!;
        largest.leave(last);
        last(false);
      }
      this.#admit();
    });
  }

  /** Descriptors may have become free elsewhere. */
  #admit(): void {
    while (this.#line.size > 0 && this.#mayRun()) {
      this.#running++;
      this.#next()!(true);
    }
  }

  #next(): Turn | undefined {
    const rank = { value: this.#turns + 1, since: this.#turns };
    const next = this.#line.next((group) => this.#ranks.set(group, rank));
    if (next !== undefined) this.#turns++;
    return next;
  }

  /** At least 1 for groups that have had a turn. */
  readonly #rankOf = (group: string): number => {
    const rank = this.#ranks.get(group);
    if (rank !== undefined && (rank.value >= 1 || this.#turns - rank.since < this.#waiting))
      return rank.value;
    const value = this.#random();
    this.#ranks.set(group, { value, since: this.#turns });
    return value;
  };
}
