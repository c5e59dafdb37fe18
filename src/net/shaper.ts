import { RESERVED } from '../limits/bandwidth.ts';
import type { Bandwidth } from '../limits/bandwidth.ts';
import type { Pace, Paced } from './engine.ts';
import { Queue } from './queue.ts';
import type { Waiting } from './queue.ts';

/** Turns in a row, before the rest of the thread has its own. */
const BATCH = 16;
/** Milliseconds that are worth a timer. */
const PAUSE = 2;
/** Milliseconds in which everyone who waits has a turn. */
const ROUND = 300;
/** Bytes of a turn: with fewer, turns would cost more than the bytes, and with more, others of the thread would wait. */
const SMALLEST = 64;
const LARGEST = 262_144;
/** Bytes that are worth a timer, unless they take longer than a round. */
const WORTHY = 16_384;

/**
 * What the streams of a thread have of a bandwidth that they share with those of other threads. It is reserved before it is
 * used, in the order in which threads ask, for each as much as fits the number of its streams; of these, the one that has had
 * least goes first (start-time fair queueing). So no more is owed than is reserved at a time, streams that need less than an
 * equal share get what they need, and the others divide the rest.
 */
export class Shaper {
  readonly bandwidth: Bandwidth;
  readonly #clock: () => number;
  readonly #waiting = new Queue<Turn>();
  /** The rank of the one whose turn was last. */
  #level = 0;
  /** How many wait here, as the others know it. */
  #counted = 0;
  /** Bytes of a turn. */
  #quantum = LARGEST;
  /** Bytes that are reserved, and not taken yet. */
  #reserved = 0;
  /** From when on they may be. */
  #due = 0;
  /** How often something was. */
  #pieces = 0;
  /** Bytes for each who waited then. */
  #part = 0;
  /** Bytes that those who came and went needed beyond what was reserved for them; less than 0 when it was more. */
  #missing = 0;
  /** `#run` will be called. */
  #awake = false;
  /** Until then. */
  #timer: NodeJS.Timeout | undefined;

  constructor(bandwidth: Bandwidth, clock: () => number) {
    this.bandwidth = bandwidth;
    this.#clock = clock;
  }

  /** For a stream; `own` is a bandwidth that it has for itself besides. */
  pace(own?: Bandwidth): Pace {
    return new Turn(this, own, this.#clock);
  }

  /** Another rate, from now on. */
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

  /** For a thread that dies. */
  abandon(): void {
    this.#stop();
  }

  /** For a turn: it waits. Rest saves nothing, and a newcomer is behind all others, so that many of them hold nobody up. */
  join(turn: Turn): void {
    turn.rank = turn.rank < 0 ? this.#level + 1 : Math.max(turn.rank, this.#level);
    if (!turn.stays) turn.came = this.#pieces;
    this.#waiting.add(turn);
    if (!this.#awake) this.#wake();
  }

  /** For a turn: it waits no more. */
  quit(turn: Turn): void {
    this.#waiting.delete(turn);
  }

  #wake(): void {
    this.#awake = true;
    process.nextTick(this.#run);
  }

  readonly #run = (): void => {
    this.#timer = undefined;
    // One round at most: a stream whose next bytes are about to come would miss the second.
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
    // Not all at once: a stream whose next bytes are about to come would miss it.
    this.#due += (taken * 1000) / this.bandwidth.rate;
    turn.goOn();
  }

  /** Reserves nothing, and nobody waits, for now. */
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
  /** Turns that it has had, on the scale of its share; less than 0 before the first time. */
  rank = -1;
  index = -1;
  /** The shaper's pieces when it came to wait; less than 0 when it has had a turn since. */
  came = -1;
  readonly #shaper: Shaper;
  readonly #own: Bandwidth | undefined;
  readonly #clock: () => number;
  /** Bytes that its own bandwidth allows. */
  #allowed: number;
  /** Until they may be taken. */
  #timer: NodeJS.Timeout | undefined;
  #source: Paced | undefined;
  #taking = false;
  /** It has asked while it was taking. */
  #again = false;
  #over = false;

  constructor(shaper: Shaper, own: Bandwidth | undefined, clock: () => number) {
    this.#shaper = shaper;
    this.#own = own;
    this.#clock = clock;
    this.#allowed = own === undefined ? Infinity : 0;
  }

  /** It wants more right after its turn. */
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

  /** From the shaper: how many bytes it has taken. */
  take(most: number): number {
    this.#taking = true;
    this.#again = false;
    const taken = this.#source!.take(Math.min(most, this.#allowed));
    this.#allowed -= taken;
    this.#taking = false;
    return taken;
  }

  /** From the shaper, once that is counted. */
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

/** Whole bytes, one at least. */
function bytesIn(milliseconds: number, rate: number): number {
  return Math.max(1, Math.floor((rate * milliseconds) / 1000));
}
