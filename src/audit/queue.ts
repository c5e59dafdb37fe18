import { setImmediate as immediate } from 'node:timers/promises';
import type { Line } from './line.ts';
import type { Outcome, Sink } from './sink.ts';

/** Characters that may wait for a sink; lines beyond are lost. */
const LIMIT = 4 * 1024 * 1024;
/** Milliseconds until a sink that failed is tried again: from the first to the last, doubled each time. */
const BACK_OFF = { first: 200, last: 10_000 } as const;
/** Milliseconds that a write may still take when its sink is to be left. */
const PATIENCE = 2000;
/** Milliseconds from a write to the next: on a busy server a write for each line would cost more than the line. */
const GATHER = 10;
/** The fault of a sink that takes lines, but not as fast as they come. */
const TOO_SLOW = 'ENOBUFS';

/** Hears when lines cannot be written, and when they can again. */
export interface Outages {
  begins(fault: string): void;
  /** `lost`: lines that this outage has cost. */
  ends(fault: string, lost: number): void;
}

/** Lines on their way to a sink, one write at a time. What it does not take is kept, up to a limit, and tried again. */
export class Queue {
  readonly #outages: Outages;
  #sink: Sink;
  #waiting: Line[] = [];
  /** Of what waits and what is being written. */
  #size = 0;
  #running: Promise<void> | undefined;
  #write: { readonly sink: Sink; readonly abandon: () => void } | undefined;
  #resume: (() => void) | undefined;
  #closed: Promise<void> | undefined;
  #backOff: number = BACK_OFF.first;
  #fault: string | undefined;
  #lost = 0;
  /** Lines lost before the outage that is not over. */
  #lostBefore = 0;

  constructor(sink: Sink, outages: Outages) {
    this.#sink = sink;
    this.#outages = outages;
  }

  /** Why nothing can be written at the moment. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Lines lost since the start. */
  get lost(): number {
    return this.#lost;
  }

  push(line: Line): void {
    const size = sizeOf(line);
    if (this.#closed !== undefined) {
      this.#lost++;
    } else if (this.#size + size > LIMIT) {
      this.#lost++;
      this.#fail(this.#fault ?? TOO_SLOW);
    } else {
      this.#waiting.push(line);
      this.#size += size;
      this.#running ??= this.#run();
    }
  }

  /** What waits, and what comes, goes to this sink from now on. A write to the old one may still end. */
  use(sink: Sink): void {
    if (this.#closed !== undefined) return sink.close();
    const before = this.#sink;
    this.#sink = sink;
    this.#backOff = BACK_OFF.first;
    if (before === this.#write?.sink) setTimeout(this.#write.abandon, PATIENCE).unref();
    else before.close();
    this.#resume?.();
  }

  /** Writes what waits, if that can be done at all, and closes the sink. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const late = setTimeout(() => this.#write?.abandon(), PATIENCE);
    this.#resume?.();
    await this.#running;
    clearTimeout(late);
    this.#sink.close();
  }

  async #run(): Promise<void> {
    await immediate();
    while (this.#waiting.length > 0) {
      const sink = this.#sink;
      const { fault } = await this.#writeTo(sink);
      if (sink !== this.#sink) {
        sink.close();
      } else if (fault === undefined) {
        this.#succeed();
        if (this.#closed === undefined) await this.#pause(GATHER);
      } else {
        this.#fail(fault);
        if (this.#closed === undefined) await this.#backDown();
        else this.#giveUp();
      }
    }
    this.#running = undefined;
  }

  async #writeTo(sink: Sink): Promise<Outcome> {
    const lines = this.#waiting;
    this.#waiting = [];
    const abandoned = new Promise<Outcome>((resolve) => {
      const outcome = { taken: lines.length, lost: lines.length, fault: 'ETIMEDOUT' };
      this.#write = { sink, abandon: () => resolve(outcome) };
    });
    const outcome = await Promise.race([sink.write(lines), abandoned]);
    this.#write = undefined;
    const { taken, lost = 0 } = outcome;
    this.#lost += lost;
    for (const line of lines.slice(0, taken)) this.#size -= sizeOf(line);
    if (taken < lines.length) this.#waiting = [...lines.slice(taken), ...this.#waiting];
    return outcome;
  }

  #succeed(): void {
    this.#backOff = BACK_OFF.first;
    if (this.#fault === undefined) return;
    const fault = this.#fault;
    const lost = this.#lost - this.#lostBefore;
    this.#fault = undefined;
    this.#lostBefore = this.#lost;
    this.#outages.ends(fault, lost);
  }

  #fail(fault: string): void {
    const begins = this.#fault === undefined;
    this.#fault = fault;
    if (begins) this.#outages.begins(fault);
  }

  async #backDown(): Promise<void> {
    await this.#pause(this.#backOff);
    this.#backOff = Math.min(this.#backOff * 2, BACK_OFF.last);
  }

  /** A new sink or the end cuts it short. */
  async #pause(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#resume = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#resume = undefined;
  }

  #giveUp(): void {
    this.#lost += this.#waiting.length;
    this.#waiting = [];
  }
}

function sizeOf({ prefix, message }: Line): number {
  return prefix.length + message.length;
}
