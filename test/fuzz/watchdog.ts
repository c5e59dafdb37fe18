import { Worker } from 'node:worker_threads';
import { SIZE_LIMIT } from './mutate.ts';

/** Bytes in front of the input: how many inputs were run so far, the length of the last one and of its target's name. */
export const HEAD = { runs: 0, inputLength: 1, nameLength: 2, size: 12 } as const;
const NAME_LIMIT = 64;

/** What the thread is given. */
export interface Watched {
  readonly memory: SharedArrayBuffer;
  readonly folder: string;
}

/**
 * A thread that sees an input that never comes to an end, which nobody else can do then: it writes it to the folder of
 * finds and kills the process.
 */
export class Watchdog implements AsyncDisposable {
  readonly #memory = new SharedArrayBuffer(HEAD.size + NAME_LIMIT + SIZE_LIMIT);
  readonly #head = new Int32Array(this.#memory, 0, HEAD.size / 4);
  readonly #bytes = new Uint8Array(this.#memory, HEAD.size);
  readonly #thread: Worker;

  constructor(folder: string) {
    const watched: Watched = { memory: this.#memory, folder };
    this.#thread = new Worker(new URL('watchdog-thread.ts', import.meta.url), { workerData: watched });
    this.#thread.unref();
  }

  /** This input is about to be run. */
  see(target: string, input: Uint8Array): void {
    const name = Buffer.from(target);
    this.#bytes.set(name);
    this.#bytes.set(input, name.length);
    Atomics.store(this.#head, HEAD.nameLength, name.length);
    Atomics.store(this.#head, HEAD.inputLength, input.length);
    Atomics.add(this.#head, HEAD.runs, 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.terminate();
  }
}
