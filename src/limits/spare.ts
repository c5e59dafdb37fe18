/** Of all, the part for attempts to connect, and what one client may have of it in each thread. */
const FOR_ATTEMPTS = 1 / 2;
const PER_CLIENT = 1 / 8;

/** Lends one at a time. */
export interface Share {
  take(): boolean;
  give(): void;
}

/**
 * Descriptors for what needs some for a moment beyond those that its connection has: attempts to connect beside the first, queries of
 * names, health checks. What gets none makes do with fewer, or waits. All threads of a server share the number.
 */
export class Spare {
  readonly #taken: Int32Array;
  readonly #most: number;
  #ours = 0;
  /** Of these, what clients have by their shares. */
  readonly #held = new Map<string, number>();

  /** `memory`: one number, the same for all threads. */
  constructor(most: number, memory: SharedArrayBuffer = createSpareMemory()) {
    this.#most = most;
    this.#taken = new Int32Array(memory);
  }

  /** False when there are not so many left, of all or of a part. */
  take(count = 1, most: number = this.#most): boolean {
    if (Atomics.add(this.#taken, 0, count) + count > most) {
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

  /** What a client may take for its attempts to connect: none can keep the others from theirs, nor all of them names from being resolved. */
  shareOf(client: string): Share {
    return {
      take: () => {
        const held = this.#held.get(client) ?? 0;
        if (held >= this.#most * PER_CLIENT || !this.take(1, this.#most * FOR_ATTEMPTS)) return false;
        this.#held.set(client, held + 1);
        return true;
      },
      give: () => {
        const held = this.#held.get(client)!;
        if (held > 1) this.#held.set(client, held - 1);
        else this.#held.delete(client);
        this.give();
      },
    };
  }

  /** For a thread that dies. */
  forgetAll(): void {
    this.give(this.#ours);
  }
}

export function createSpareMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}
