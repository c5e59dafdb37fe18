import { availableParallelism } from 'node:os';

export interface GateOptions {
  /** Tasks at a time. @default one per core, but one thread of libuv's pool (4, or UV_THREADPOOL_SIZE) stays free for files */
  readonly running?: number;
  /** Tasks that may wait for their turn. @default 64 */
  readonly waiting?: number;
}

/** Lets a few tasks run at a time and some more wait in line. */
export class Gate {
  readonly #limit: number;
  readonly #waiting: number;
  readonly #line: (() => void)[] = [];
  #running = 0;

  constructor(options: GateOptions = {}) {
    this.#limit = options.running ?? onePerCore();
    this.#waiting = options.waiting ?? 64;
  }

  /** Runs the task when its turn comes; `undefined` at once when the line is full. */
  async run<T>(task: () => Promise<T>): Promise<T | undefined> {
    if (this.#running < this.#limit) this.#running++;
    else if (this.#line.length < this.#waiting) await new Promise<void>((turn) => this.#line.push(turn));
    else return undefined;
    try {
      return await task();
    } finally {
      const next = this.#line.shift();
      // A turn is handed on, so that nobody overtakes the line.
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

function onePerCore(): number {
  const pool = Number(process.env['UV_THREADPOOL_SIZE']) || 4;
  return Math.max(1, Math.min(availableParallelism(), pool - 1));
}
