import { LruMap } from '../limits/lru-map.ts';

/** A value and the milliseconds that it may be kept; 0 = not at all. */
export interface Fresh<T> {
  readonly value: T;
  readonly ttl: number;
}

/**
 * A bounded cache by time to live: the entry least recently used goes first. Loads of one key that are under way are
 * shared, and a failed load is forgotten.
 */
export class Cache<T> {
  readonly #now: () => number;
  readonly #entries: LruMap<{ readonly value: T; readonly expires: number }>;
  readonly #loading = new Map<string, Promise<Fresh<T>>>();

  /** `now` is a monotonic clock in milliseconds: no change of the system's time ages or freshens an entry. */
  constructor(limit: number, now: () => number) {
    this.#entries = new LruMap(limit);
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.expires > this.#now()) return entry?.value;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, { value, ttl }: Fresh<T>): void {
    if (ttl <= 0) this.#entries.delete(key);
    else this.#entries.set(key, { value, expires: this.#now() + ttl });
  }

  /** The value at hand, or the one that `load` brings; all that ask meanwhile get the same. */
  async load(key: string, load: () => Promise<Fresh<T>>): Promise<T> {
    const value = this.get(key);
    if (value !== undefined) return value;
    const loading = this.#loading.get(key);
    return loading === undefined ? this.loadAnew(key, load) : (await loading).value;
  }

  /** The value that `load` brings, whatever is at hand or under way. */
  async loadAnew(key: string, load: () => Promise<Fresh<T>>): Promise<T> {
    const loading = load();
    this.#loading.set(key, loading);
    const isLatest = (): boolean => this.#loading.get(key) === loading;
    try {
      const fresh = await loading;
      if (isLatest()) this.set(key, fresh);
      return fresh.value;
    } finally {
      if (isLatest()) this.#loading.delete(key);
    }
  }

  /** Forgets all, and what is under way brings nothing but to those who wait for it already. */
  clear(): void {
    this.#entries.clear();
    this.#loading.clear();
  }
}
