import { RESERVED } from '../policy/bandwidth.ts';
import type { Bandwidth } from '../policy/bandwidth.ts';
import type { Pace, Paced } from './engine.ts';

/** Turns in a row, before the rest of the thread has its own. */
const SHARE = 16;
/** Milliseconds in which everyone who waits has a turn. */
const ROUND = 400;
/** Bytes of a turn at most. */
const LARGEST = 65_536;

/**
 * What the streams of a thread have of a bandwidth that they share with those of other threads. Before it is used it is
 * reserved, in the order of the threads that ask, each as much as fits the number of its streams; of these, who has had least
 * goes first (start-time fair queueing). So no more is owed than is reserved at a time, who needs less than an equal share gets
 * it, and the others divide the rest.
 */
export class Share {
  readonly bandwidth: Bandwidth;
  readonly #clock: () => number;
  /** Those who wait, by what they have had. */
  #first: Turn | undefined;
  #last: Turn | undefined;
  #size = 0;
  /** What the one had had whose turn was last. */
  #level = 0;
  /** What the others know of `#size`. */
  #counted = 0;
  /** Bytes of a turn. */
  #quantum = LARGEST;
  /** Bytes that are reserved, and not taken yet. */
  #reserved = 0;
  /** `#run` will be called. */
  #awake = false;
  /** Until what is reserved may be taken. */
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
    turn.had = turn.had < 0 ? this.#level + this.#quantum : Math.max(turn.had, this.#level);
    const { had } = turn;
    let before = this.#first !== undefined && this.#first.had < had ? this.#last : undefined;
    while (before !== undefined && before.had > had) before = before.previous;
    const after = before === undefined ? this.#first : before.next;
    turn.previous = before;
    turn.next = after;
    if (before === undefined) this.#first = turn;
    else before.next = turn;
    if (after === undefined) this.#last = turn;
    else after.previous = turn;
    turn.queued = true;
    this.#size++;
    if (!this.#awake) this.#wake();
  }

  /** For a turn: it waits no more. */
  quit(turn: Turn): void {
    if (!turn.queued) return;
    const { next, previous } = turn;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    turn.next = undefined;
    turn.previous = undefined;
    turn.queued = false;
    this.#size--;
  }

  #wake(): void {
    this.#awake = true;
    process.nextTick(this.#run);
  }

  readonly #run = (): void => {
    this.#timer = undefined;
    // One round at most: who is about to have its next bytes would miss the others' second turn.
    for (let i = Math.min(SHARE, this.#size + 1); i > 0; i--) {
      const turn = this.#first;
      if (turn === undefined) {
        this.#awake = false;
        this.#stop();
        return;
      }
      if (this.#reserved < 1 && !this.#reserve()) return;
      this.#serve(turn);
    }
    setImmediate(this.#run);
  };

  /** False when it has to be waited for. */
  #reserve(): boolean {
    const { bandwidth } = this;
    if (bandwidth.rate === Infinity) {
      this.#quantum = LARGEST;
      this.#reserved = Infinity;
      return true;
    }
    const now = this.#clock();
    const all = Math.max(this.#size, bandwidth.count(this.#size - this.#counted, now));
    this.#counted = this.#size;
    this.#quantum = Math.min(LARGEST, bytesIn(ROUND, bandwidth.rate / all));
    this.#reserved = bytesIn(RESERVED, (bandwidth.rate * this.#size) / all);
    const wait = bandwidth.reserve(this.#reserved, now) - now;
    // A timer keeps no shorter time.
    if (wait < 1) return true;
    this.#timer = setTimeout(this.#run, wait);
    return false;
  }

  #serve(turn: Turn): void {
    this.quit(turn);
    this.#level = turn.had;
    const taken = turn.take(Math.min(this.#quantum, this.#reserved));
    turn.had += taken;
    this.#reserved -= taken;
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
    this.#counted = 0;
  }
}

/** One direction of a relay, among those that share a bandwidth. */
class Turn implements Pace {
  /** It waits in its share, between these. */
  queued = false;
  next: Turn | undefined;
  previous: Turn | undefined;
  /** Bytes, on the scale of its share; less than 0 before the first time. */
  had = -1;
  readonly #share: Share;
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

  constructor(share: Share, own: Bandwidth | undefined, clock: () => number) {
    this.#share = share;
    this.#own = own;
    this.#clock = clock;
    this.#allowed = own === undefined ? Infinity : 0;
  }

  get waits(): boolean {
    return this.queued || this.#timer !== undefined;
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
    this.#share.quit(this);
  }

  /** From the share: how many bytes it has taken. */
  take(most: number): number {
    this.#taking = true;
    this.#again = false;
    const taken = this.#source!.take(Math.min(most, this.#allowed));
    this.#allowed -= taken;
    this.#taking = false;
    return taken;
  }

  /** From the share, once that is counted. */
  goOn(): void {
    if (this.#again && !this.#over) this.#enter();
  }

  #enter(): void {
    const own = this.#own;
    if (own === undefined || this.#allowed > 0) {
      this.#share.join(this);
      return;
    }
    const now = this.#clock();
    this.#allowed = bytesIn(RESERVED, own.rate);
    const wait = own.reserve(this.#allowed, now) - now;
    if (wait < 1) {
      this.#share.join(this);
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#share.join(this);
    }, wait);
  }
}

/** Whole bytes, one at least. */
function bytesIn(milliseconds: number, rate: number): number {
  return Math.max(1, Math.floor((rate * milliseconds) / 1000));
}
