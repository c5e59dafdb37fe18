/** Share of all descriptors for connection attempts, and the share that one client can use in each thread. */
const FOR_ATTEMPTS = 1 / 2;
const PER_CLIENT = 1 / 8;

/** Hands out one descriptor at a time. */
export interface Allowance {
  take(): boolean;
  give(): void;
}

/**
 * Descriptors for short-lived needs beyond those of the connection itself: additional connection attempts,
 * DNS queries, health checks. Work that gets none makes do with fewer, or waits. All threads of a server
 * share the count.
 */
export class Spare {
  readonly #taken: Int32Array;
  readonly #most: number;
  #ours = 0;
  /** How many of these each client holds through its share. */
  readonly #held = new Map<string, number>();

  /** `memory`: one number, the same for all threads. */
  constructor(most: number, memory: SharedArrayBuffer = createSpareMemory()) {
    this.#most = most;
    this.#taken = new Int32Array(memory);
  }

  /** False when fewer than `count` are left, in total or within `most`. */
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

  /**
   * A client's share for its connection attempts: it cannot exhaust the share of other clients, and all
   * clients together cannot exhaust what name resolution needs.
   */
  shareOf(client: string): Allowance {
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

  /** For a thread that has died. */
  forgetAll(): void {
    this.give(this.#ours);
  }
}

export function createSpareMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}
