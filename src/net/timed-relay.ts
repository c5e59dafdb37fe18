import type { RelayEnd, RelayOptions } from './engine.ts';
import { ticks } from './sweep.ts';
import type { Sweep, Timed } from './sweep.ts';

/**
 * The time-outs of a relay, for both engines. A base class, because a separate object for each relay would
 * cost memory.
 */
export abstract class TimedRelay implements Timed {
  /** Maintained by the sweep. */
  index = -1;
  protected readonly sweep: Sweep;
  readonly #started: number;
  readonly #idle: number;
  readonly #halfClose: number;
  readonly #duration: number;
  /** The sweep's count at the last byte. */
  #active: number;
  #endedFirst: 'client' | 'target' | undefined;

  constructor({ idle, halfClose, duration }: RelayOptions, sweep: Sweep) {
    this.sweep = sweep;
    this.#started = sweep.tick;
    this.#active = sweep.tick;
    this.#idle = ticks(idle);
    this.#halfClose = ticks(halfClose);
    this.#duration = ticks(duration);
  }

  /** Called when bytes have passed. */
  touch(): void {
    this.#active = this.sweep.tick;
  }

  /** Called when a side has ended its direction. */
  protected ended(side: 'client' | 'target'): void {
    this.#endedFirst ??= side;
    this.touch();
  }

  protected get endedFirst(): 'client' | 'target' | undefined {
    return this.#endedFirst;
  }

  /** The half-close time-out in milliseconds, rounded up to the ticks of the sweep. */
  protected get halfCloseTime(): number {
    return this.#halfClose * 1000;
  }

  /** Called by the sweep: ends a relay that has run or been silent for too long, or lost a side. */
  check(tick: number): void {
    this.look();
    if (this.waits) this.touch();
    const silent = tick - this.#active;
    if (tick - this.#started >= this.#duration) this.cut({ by: 'duration' });
    else if (silent >= this.#idle) this.cut({ by: 'idle' });
    // A connected peer that reads more slowly than the other sends is not silent.
    else if (this.#endedFirst !== undefined && silent >= this.#halfClose && !this.heldBack)
      this.cut({ by: 'half-close' });
  }

  /** Checks for a side that failed unnoticed. */
  protected abstract look(): void;
  /** Whether bytes are waiting for bandwidth. */
  protected abstract get waits(): boolean;
  /** Whether bytes are waiting for a reader that is still connected. */
  protected abstract get heldBack(): boolean;
  /** Ends it at once. */
  protected abstract cut(end: RelayEnd): void;
}
