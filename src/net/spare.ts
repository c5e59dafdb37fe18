/**
 * Descriptors for what needs some for a moment beyond those that its connection has: attempts to connect beside the first, queries of
 * names, health checks. Those that get none make do with less, or wait. All threads of a server share the number.
 */
export class Spare {
  readonly #taken: Int32Array;
  readonly #most: number;
  #ours = 0;

  /** `memory`: one number, the same for all threads. */
  constructor(most: number, memory: SharedArrayBuffer = createSpareMemory()) {
    this.#most = most;
    this.#taken = new Int32Array(memory);
  }

  /** False when there are not so many left. */
  take(count = 1): boolean {
    if (Atomics.add(this.#taken, 0, count) + count > this.#most) {
      Atomics.sub(this.#taken, 0, count);
      return false;
    }
    this.#ours += count;
    return true;
  }

  give(count = 1): void {
    this.#ours -= count;
    Atomics.sub(this.#taken, 0, count);
  }

  /** For a thread that dies. */
  forgetAll(): void {
    this.give(this.#ours);
  }
}

export function createSpareMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}
