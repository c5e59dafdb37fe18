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
  /** Where tasks take descriptors from, `each` of them for one task. @default as many as it takes */
  readonly spare?: Spare | undefined;
  /** @default 1 */
  readonly each?: number;
  /** Tasks at a time for which there is always room: they take none of the spare ones. @default 1 */
  readonly least?: number;
}

/** The groups that the asker belongs to, the widest first (see `Crowd`). Called only when it has to wait. */
export type Asker = () => readonly string[];

/** True when it is its turn; false when it has lost its place in the line. */
type Turn = (mine: boolean) => void;

/** How soon a group has to give way: the highest first. */
interface Rank {
  readonly value: number;
  /** The turns that had been had when it was drawn. */
  readonly since: number;
}

/** Groups whose rank is remembered. */
const RANKS = 10_000;

/**
 * Lets a few tasks run at a time and some more wait in line. Groups take turns, and when the line is full the largest gives way: a flood
 * holds up itself. Of groups of one size the one that had a turn last gives way, and among those that had none yet chance decides, for as
 * many turns as the line is long: asking more often gives no better chance.
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

  /** Runs the task when its turn comes; `undefined` when the line has no place for it. */
  async run<T>(asker: Asker, task: () => Promise<T>): Promise<T | undefined> {
    // Nobody overtakes the line.
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

  /** Descriptors may have come free elsewhere. */
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

  /** From 1 on for those that have had a turn. */
  readonly #rankOf = (group: string): number => {
    const rank = this.#ranks.get(group);
    if (rank !== undefined && (rank.value >= 1 || this.#turns - rank.since < this.#waiting))
      return rank.value;
    const value = this.#random();
    this.#ranks.set(group, { value, since: this.#turns });
    return value;
  };
}
