import { Roster } from './roster.ts';
import type { Member } from './roster.ts';

/** Something with time-outs to look after. */
export interface Timed extends Member {
  check(tick: number): void;
}

/**
 * One timer for the time-outs of all relays: it counts seconds, and a relay notes the count at its last byte, which costs
 * less than a timer for each. A stalled event loop delays the count, so no time-out comes early.
 */
export class Sweep {
  readonly #all = new Roster<Timed>();
  #tick = 0;
  #timer: NodeJS.Timeout | undefined;

  get tick(): number {
    return this.#tick;
  }

  add(timed: Timed): void {
    this.#all.add(timed);
    this.#timer ??= setInterval(() => this.#turn(), 1000).unref();
  }

  delete(timed: Timed): void {
    this.#all.delete(timed);
    if (this.#all.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #turn(): void {
    this.#tick++;
    for (const timed of this.#all) timed.check(this.#tick);
  }
}

/** How many counts must lie between two moments that are at least `milliseconds` apart; 0 = no limit. */
export function ticks(milliseconds: number): number {
  // The first of them may be almost over when it is noted.
  return milliseconds === 0 ? Infinity : Math.ceil(milliseconds / 1000) + 1;
}
