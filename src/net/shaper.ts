import { RESERVED } from '../limits/bandwidth.ts';
import type { Bandwidth } from '../limits/bandwidth.ts';
import type { Pace, Paced } from './engine.ts';
import { Queue } from './queue.ts';
import type { Waiting } from './queue.ts';

/** Consecutive turns before the rest of the thread gets its own. */
const BATCH = 16;
/** The shortest wait, in milliseconds, for which a timer is set. */
const PAUSE = 2;
/** Milliseconds in which every waiting stream gets a turn. */
const ROUND = 300;
/**
 * Bytes per turn: with fewer, turns would cost more than the bytes; with more, others in the thread would
 * wait.
 */
const SMALLEST = 64;
const LARGEST = 262_144;
/** Bytes that justify a timer, unless they take longer than a round. */
const WORTHY = 16_384;

/**
 * Divides a thread's part of a bandwidth, shared with other threads, among its streams. Bandwidth is reserved
 * before it is used, in the order in which threads ask, in proportion to the number of their streams; within
 * a thread, the stream that has had least goes first (start-time fair queueing). Thus debt is limited to one
 * reservation, streams that need less than an equal share get what they need, and the others divide the rest.
 */
export class Shaper {
  readonly bandwidth: Bandwidth;
  readonly #clock: () => number;
  readonly #waiting = new Queue<Turn>();
  /** The rank of the stream that had the last turn. */
  #level = 0;
  /** The number of waiting streams here that other threads know of. */
  #counted = 0;
  /** Bytes per turn. */
  #quantum = LARGEST;
  /** Bytes reserved and not taken yet. */
  #reserved = 0;
  /** The time from which they may be taken. */
  #due = 0;
  /** The number of reservations made. */
  #pieces = 0;
  /** Bytes per stream in the latest reservation. */
  #part = 0;
  /**
   * Bytes that streams which came or left needed in excess of their reservation; negative when it was too
   * large.
   */
  #missing = 0;
  /** `#run` is scheduled. */
  #awake = false;
  /** Calls `#run`. */
  #timer: NodeJS.Timeout | undefined;

  constructor(bandwidth: Bandwidth, clock: () => number) {
    this.bandwidth = bandwidth;
    this.#clock = clock;
  }

  /** For a stream; `own`: an additional bandwidth for this stream alone. */
  pace(own?: Bandwidth): Pace {
    return new Turn(this, own, this.#clock);
  }

  /** Changes the rate at once. */
  use(rate: number): void {
    if (rate === this.bandwidth.rate) return;
    this.#stop();
    this.#due = 0;
    this.bandwidth.rate = rate;
    this.bandwidth.forget(this.#clock());
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#wake();
  }

  /** For a thread that has died. */
  abandon(): void {
    this.#stop();
  }

  /**
   * For a turn that starts waiting. Idle time earns no credit, and a newcomer goes behind all others, so that
   * many newcomers cannot delay them.
   */
  join(turn: Turn): void {
    turn.rank = turn.rank < 0 ? this.#level + 1 : Math.max(turn.rank, this.#level);
    if (!turn.stays) turn.came = this.#pieces;
    this.#waiting.add(turn);
    if (!this.#awake) this.#wake();
  }

  /** For a turn that stops waiting. */
  quit(turn: Turn): void {
    this.#waiting.delete(turn);
  }

  #wake(): void {
    this.#awake = true;
    process.nextTick(this.#run);
  }

  readonly #run = (): void => {
    this.#timer = undefined;
    // At most one round: a stream whose next bytes are just arriving would miss the second.
    for (let i = Math.min(BATCH, this.#waiting.size + 1); i > 0; i--) {
      const turn = this.#waiting.first;
      if (turn === undefined) {
        this.#awake = false;
        this.#stop();
        return;
      }
      if (this.#reserved < 1) this.#reserve();
      const wait = this.#due - this.#clock();
      if (wait >= PAUSE) {
        this.#timer = setTimeout(this.#run, wait);
        return;
      }
      this.#serve(turn);
    }
    setImmediate(this.#run);
  };

  #reserve(): void {
    const { bandwidth } = this;
    if (bandwidth.rate === Infinity) {
      this.#quantum = LARGEST;
      this.#reserved = Infinity;
      this.#due = 0;
      return;
    }
    const now = this.#clock();
    const { size } = this.#waiting;
    const all = Math.max(size, bandwidth.count(size - this.#counted, now));
    this.#counted = size;
    this.#quantum = Math.min(LARGEST, Math.max(SMALLEST, bytesIn(ROUND, bandwidth.rate / all)));
    this.#pieces++;
    this.#part = (bandwidth.rate * RESERVED) / 1000 / all;
    const most = bytesIn(RESERVED, bandwidth.rate);
    this.#reserved = Math.min(most, Math.max(1, Math.floor(this.#part * size + this.#missing)));
    this.#missing = 0;
    this.#due = bandwidth.reserve(this.#reserved, now);
  }

  #serve(turn: Turn): void {
    this.#waiting.delete(turn);
    this.#level = turn.rank;
    const taken = turn.take(Math.min(this.#quantum, this.#reserved));
    turn.rank += taken / this.#quantum;
    this.#reserved -= taken;
    if (turn.came >= 0) {
      this.#missing += Math.min(taken, this.#part) - (turn.came < this.#pieces ? this.#part : 0);
      turn.came = -1;
    }
    // Spread out: a stream whose next bytes are just arriving would otherwise miss its turn.
    this.#due += (taken * 1000) / this.bandwidth.rate;
    turn.goOn();
  }

  /** Cancels the reservation and the count of waiting streams. */
  #stop(): void {
    if (this.bandwidth.rate !== Infinity) {
      const now = this.#clock();
      if (this.#reserved > 0) this.bandwidth.giveBack(this.#reserved, now);
      if (this.#counted > 0) this.bandwidth.count(-this.#counted, now);
    }
    this.#reserved = 0;
    this.#missing = 0;
    this.#counted = 0;
  }
}

/** One direction of a relay, among those that share a bandwidth. */
class Turn implements Pace, Waiting {
  /** Turns taken, in units of its share; negative before the first. */
  rank = -1;
  index = -1;
  /** The shaper's `#pieces` when it began to wait; negative once it has had a turn. */
  came = -1;
  readonly #shaper: Shaper;
  readonly #own: Bandwidth | undefined;
  readonly #clock: () => number;
  /** Bytes that its own bandwidth allows. */
  #allowed: number;
  /** Waits until they may be taken. */
  #timer: NodeJS.Timeout | undefined;
  #source: Paced | undefined;
  #taking = false;
  /** It has asked again during `take`. */
  #again = false;
  #over = false;

  constructor(shaper: Shaper, own: Bandwidth | undefined, clock: () => number) {
    this.#shaper = shaper;
    this.#own = own;
    this.#clock = clock;
    this.#allowed = own === undefined ? Infinity : 0;
  }

  /** Whether it needs another turn right after this one. */
  get stays(): boolean {
    return this.#again;
  }

  get waits(): boolean {
    return this.index >= 0 || this.#timer !== undefined;
  }

  ask(source: Paced): void {
    this.#source = source;
    if (this.#taking) this.#again = true;
    else if (!this.waits && !this.#over) this.#enter();
  }

  leave(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#shaper.quit(this);
  }

  /** Called by the shaper; returns the bytes taken. */
  take(most: number): number {
    this.#taking = true;
    this.#again = false;
    const taken = this.#source!.take(Math.min(most, this.#allowed));
    this.#allowed -= taken;
    this.#taking = false;
    return taken;
  }

  /** Called by the shaper, once these are counted. */
  goOn(): void {
    if (this.#again && !this.#over) this.#enter();
  }

  #enter(): void {
    const own = this.#own;
    if (own === undefined || this.#allowed > 0) {
      this.#shaper.join(this);
      return;
    }
    const now = this.#clock();
    this.#allowed = Math.max(bytesIn(RESERVED, own.rate), Math.min(WORTHY, bytesIn(ROUND, own.rate)));
    const wait = own.reserve(this.#allowed, now) - now;
    if (wait < 1) {
      this.#shaper.join(this);
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#again = false;
      this.#shaper.join(this);
    }, wait);
  }
}

/** Whole bytes, at least one. */
function bytesIn(milliseconds: number, rate: number): number {
  return Math.max(1, Math.floor((rate * milliseconds) / 1000));
}
