import { Worker } from 'node:worker_threads';
import { SIZE_LIMIT } from './mutate.ts';

/**
 * The head before the input: the number of inputs run, and the lengths of the last input and its target's
 * name.
 */
export const HEAD = { runs: 0, inputLength: 1, nameLength: 2, size: 12 } as const;
const NAME_LIMIT = 64;

/** The data passed to the thread. */
export interface Watched {
  readonly memory: SharedArrayBuffer;
  readonly folder: string;
}

/**
 * Detects an input that never finishes, from a separate thread as the main one is blocked: the thread writes
 * it to the folder of finds and kills the process.
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

  /** Called before this input is run. */
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
