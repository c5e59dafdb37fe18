import { Roster } from './roster.ts';
import type { RosterMember } from './roster.ts';

/** Something with time-outs to check. */
export interface Timed extends RosterMember {
  check(tick: number): void;
}

/**
 * One timer for the time-outs of all relays: it counts seconds, and a relay records the count at its last
 * byte, which is cheaper than a timer each. A stalled event loop delays the count, so no time-out is early.
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

/** The counts between two moments that guarantee a distance of `milliseconds`; 0 = no limit. */
export function ticks(milliseconds: number): number {
  // The first count may be almost over when it is recorded.
  return milliseconds === 0 ? Infinity : Math.ceil(milliseconds / 1000) + 1;
}
