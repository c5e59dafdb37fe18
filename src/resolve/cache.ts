import { LruMap } from '../limits/lru-map.ts';

/** A value and the milliseconds it may be cached; 0 = not at all. */
export interface Fresh<T> {
  readonly value: T;
  readonly ttl: number;
}

/**
 * A bounded cache with times to live: the least recently used entry is evicted first. Concurrent loads of one
 * key are shared, and a failed load is not cached.
 */
export class Cache<T> {
  readonly #now: () => number;
  readonly #entries: LruMap<{ readonly value: T; readonly expires: number }>;
  readonly #loading = new Map<string, Promise<Fresh<T>>>();

  /** `now` is a monotonic clock in milliseconds, so that changes of the system time do not affect entries. */
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

  /** The cached value, or the result of `load`, which concurrent callers share. */
  async load(key: string, load: () => Promise<Fresh<T>>): Promise<T> {
    const value = this.get(key);
    if (value !== undefined) return value;
    const loading = this.#loading.get(key);
    return loading === undefined ? this.loadAnew(key, load) : (await loading).value;
  }

  /** The result of `load`, even if there is a cached value or a load in progress. */
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

  /** Drops all entries. Loads in progress only return to their current callers. */
  clear(): void {
    this.#entries.clear();
    this.#loading.clear();
  }
}
