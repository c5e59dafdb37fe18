import { embeddedIpv4 } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { halfSipHash } from './half-sip-hash.ts';
import type { RuleOptions } from './policy.ts';

/** The limit that is reached; `table` when there is no room left to count in. */
export type LimitName = 'sessions' | 'sessions-per-user' | 'sessions-per-address' | 'table';

/** What a session holds of its rule's limits until it is released. */
export interface Lease {
  /** Where it is counted; emptied by the release. */
  readonly entries: number[];
}

export type Acquired = { readonly lease: Lease } | { readonly refused: LimitName };

export type LimitedRule = Pick<RuleOptions, 'name' | 'limit'>;

/**
 * Memory for `Limits`, to be handed to every thread that counts in it. `seed` is 64 bits of randomness. Of `entries`, a
 * power of two from 32 on and 12 bytes each, a session takes up to three. A table that is full, or crowded where a key
 * belongs, refuses: with six times as many entries as sessions, 65,536 for 10,000, that does not come up.
 */
export function createLimitMemory(
  seed: readonly [number, number],
  entries: number = 65_536,
): SharedArrayBuffer {
  if (entries < PROBES || !Number.isInteger(Math.log2(entries))) {
    throw new RangeError(`${entries} entries: not a power of two from ${PROBES} on`);
  }
  const memory = new SharedArrayBuffer((HEADER + entries * ENTRY) * Int32Array.BYTES_PER_ELEMENT);
  new Int32Array(memory).set(seed, SEED);
  return memory;
}

/**
 * Counts sessions per rule, per user and per address of a rule. Rules are told apart by their names, so that a reload that
 * changes a limit goes on with the count; sessions that began before a limit was written are not in it. IPv6 clients are
 * counted by their /64, which is what one subscriber has; clients without a user together as one.
 */
export class Limits {
  readonly #words: Int32Array;
  readonly #seed: [number, number];
  readonly #mask: number;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
    this.#seed = [this.#words[SEED]!, this.#words[SEED + 1]!];
    this.#mask = (this.#words.length - HEADER) / ENTRY - 1;
  }

  /** Counts one session in all limits of its rule, or in none. */
  acquire(rule: LimitedRule, user: string | undefined, client: Ip): Acquired {
    const wanted = this.#wanted(rule, user, client);
    if (wanted.length === 0) return { lease: { entries: [] } };
    this.#lock();
    try {
      return this.#take(wanted);
    } finally {
      this.#unlock();
    }
  }

  /** Gives back what was acquired. A second time does nothing. */
  release(lease: Lease): void {
    if (lease.entries.length === 0) return;
    this.#lock();
    this.#giveBack(lease);
    this.#unlock();
  }

  #wanted({ name, limit = {} }: LimitedRule, user: string | undefined, client: Ip): Wanted[] {
    const { sessions, sessionsPerUser, sessionsPerAddress } = limit;
    const wanted: Wanted[] = [];
    const want = (limitName: LimitName, most: number | undefined, ...whom: string[]): void => {
      if (most === undefined) return;
      const text = JSON.stringify([limitName, name, ...whom]);
      wanted.push({ limit: limitName, most, key: halfSipHash(new TextEncoder().encode(text), this.#seed) });
    };
    want('sessions', sessions);
    want('sessions-per-user', sessionsPerUser, ...(user === undefined ? [] : [user]));
    want('sessions-per-address', sessionsPerAddress, network(client));
    return wanted;
  }

  #take(wanted: readonly Wanted[]): Acquired {
    const words = this.#words;
    const lease: Lease = { entries: [] };
    for (const { limit, most, key } of wanted) {
      const entry = this.#find(key);
      if (entry === undefined || words[entry + COUNT]! >= most) {
        this.#giveBack(lease);
        return { refused: entry === undefined ? 'table' : limit };
      }
      words.set(key, entry);
      words[entry + COUNT]!++;
      lease.entries.push(entry);
    }
    return { lease };
  }

  #giveBack({ entries }: Lease): void {
    for (const entry of entries.splice(0)) this.#words[entry + COUNT]!--;
  }

  /** The entry of a key or, where it has none, a free one. A key stands within PROBES entries from where it belongs, or nowhere. */
  #find([low, high]: Key): number | undefined {
    const words = this.#words;
    let free: number | undefined;
    for (let i = 0; i < PROBES; i++) {
      const entry = HEADER + ((low + i) & this.#mask) * ENTRY;
      if (words[entry + COUNT] === 0) free ??= entry;
      else if (words[entry] === low && words[entry + 1] === high) return entry;
    }
    return free;
  }

  /** Held for the few stores of one acquire or release. */
  #lock(): void {
    while (Atomics.compareExchange(this.#words, LOCK, 0, 1) !== 0) Atomics.wait(this.#words, LOCK, 1, 1);
  }

  #unlock(): void {
    Atomics.store(this.#words, LOCK, 0);
    Atomics.notify(this.#words, LOCK, 1);
  }
}

type Key = [low: number, high: number];

interface Wanted {
  readonly limit: LimitName;
  readonly most: number;
  readonly key: Key;
}

// The memory, in 32-bit words: a lock, the seed, then entries of a key's two words and a count. Count 0 = free.
const LOCK = 0;
const SEED = 1;
const HEADER = 4;
const ENTRY = 3;
const COUNT = 2;
const PROBES = 32;

function network(client: Ip): string {
  const { family, words } = embeddedIpv4(client);
  return family === 4 ? `${words[3]}` : `${words[0]}:${words[1]}`;
}
