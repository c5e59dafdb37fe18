import type { RelayEnd, RelayOptions } from './engine.ts';
import { ticks } from './sweep.ts';
import type { Sweep, Timed } from './sweep.ts';

/** The time-outs of a relay, whatever engine moves its bytes. A base class, as an object of its own for each relay would cost memory. */
export abstract class TimedRelay implements Timed {
  /** The sweep's. */
  index = -1;
  protected readonly sweep: Sweep;
  readonly #started: number;
  readonly #idle: number;
  readonly #halfClose: number;
  readonly #duration: number;
  /** When a byte passed last. */
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

  /** A byte has passed. */
  touch(): void {
    this.#active = this.sweep.tick;
  }

  /** One of them has ended its direction. */
  protected ended(side: 'client' | 'target'): void {
    this.#endedFirst ??= side;
    this.touch();
  }

  protected get endedFirst(): 'client' | 'target' | undefined {
    return this.#endedFirst;
  }

  /** Milliseconds without a byte that the half-close time-out takes, by the sweep. */
  protected get halfCloseTime(): number {
    return this.#halfClose * 1000;
  }

  /** For the sweep: ends what has gone on for too long, or without one of the two. */
  check(tick: number): void {
    this.look();
    if (this.waits) this.touch();
    const silent = tick - this.#active;
    if (tick - this.#started >= this.#duration) this.cut({ by: 'duration' });
    else if (silent >= this.#idle) this.cut({ by: 'idle' });
    // Somebody who is there reads slower than the other sends: that is no silence.
    else if (this.#endedFirst !== undefined && silent >= this.#halfClose && !this.heldBack)
      this.cut({ by: 'half-close' });
  }

  /** Looks for one that is gone without a sign. */
  protected abstract look(): void;
  /** Bytes wait for bandwidth. */
  protected abstract get waits(): boolean;
  /** Bytes wait for a reader who is there. */
  protected abstract get heldBack(): boolean;
  /** Ends it at once. */
  protected abstract cut(end: RelayEnd): void;
}
