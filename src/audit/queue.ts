import { setImmediate as immediate } from 'node:timers/promises';
import type { Line } from './line.ts';
import type { WriteOutcome, Sink } from './sink.ts';

/** Characters that can wait for a sink; lines beyond are lost. */
const LIMIT = 4 * 1024 * 1024;
/** Milliseconds before a failed sink is tried again, doubled from `first` to `last`. */
const BACK_OFF = { first: 200, last: 10_000 } as const;
/** Milliseconds that a write can still take when its sink is to be closed. */
const PATIENCE = 2000;
/**
 * Milliseconds from one write to the next: on a busy server, one write per line would cost more than the
 * line.
 */
const GATHER = 10;
/** The fault of a sink that takes lines, but more slowly than they arrive. */
const TOO_SLOW = 'ENOBUFS';

/** Notified when lines cannot be written, and when they can again. */
export interface Outages {
  begins(fault: string): void;
  /** `lost`: lines lost in this outage. */
  ends(fault: string, lost: number): void;
}

/**
 * Lines on their way to a sink, one write at a time. Lines that it does not take are kept, up to a limit, and
 * tried again.
 */
export class LineQueue {
  readonly #outages: Outages;
  #sink: Sink;
  #waiting: Line[] = [];
  /** Characters waiting and being written. */
  #size = 0;
  #running: Promise<void> | undefined;
  #write: { readonly sink: Sink; readonly abandon: () => void } | undefined;
  #resume: (() => void) | undefined;
  #closed: Promise<void> | undefined;
  #backOff: number = BACK_OFF.first;
  #fault: string | undefined;
  #lost = 0;
  /** Lines lost before the current outage. */
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

  /** Switches to another sink for waiting and future lines. A write to the old one can still finish. */
  use(sink: Sink): void {
    if (this.#closed !== undefined) return sink.close();
    const before = this.#sink;
    this.#sink = sink;
    this.#backOff = BACK_OFF.first;
    if (before === this.#write?.sink) setTimeout(this.#write.abandon, PATIENCE).unref();
    else before.close();
    this.#resume?.();
  }

  /** Writes the waiting lines, if possible, and closes the sink. */
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

  async #writeTo(sink: Sink): Promise<WriteOutcome> {
    const lines = this.#waiting;
    this.#waiting = [];
    const abandoned = new Promise<WriteOutcome>((resolve) => {
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

  /** Ends early when the sink changes or the queue is closed. */
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

function sizeOf({ prefix, text }: Line): number {
  return prefix.length + text.length;
}
