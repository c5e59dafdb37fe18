import { totalmem } from 'node:os';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Log } from '../../audit/log.ts';

/** Milliseconds between two checks, and between two collections while memory is short. */
const INTERVAL = 500;
const COLLECT = 10_000;
/**
 * Milliseconds until the effect of a release shows: sockets must close before their memory becomes garbage.
 */
const SETTLE = 2000;
/** Fraction of the memory of the machine or container. */
const MEMORY_FRACTION = 0.8;
/** Fraction of V8's heap limit, at which the process would die. */
const HEAP_SHARE = 0.9;
/** Below this fraction of the limit, memory is sufficient again. */
const RELIEF = 0.95;
/** Bytes. Ending sessions that hold less would free too little. */
const WORTHWHILE = 16_384;
/** Never refuse below this number, however short memory is: so few connections are not the cause. */
const MIN_CONNECTIONS = 16;

/** An open session that buffers bytes for its peers, and can be ended to free them. */
export interface Holder {
  /** Bytes, approximately. */
  readonly held: number;
  /** Ends it because memory is short. */
  shed(): void;
}

/** All open sessions. */
export interface Holders extends Iterable<Holder> {
  readonly size: number;
}

interface MemoryWatchOptions {
  /**
   * Forgets up to this many bytes without ending a session; returns the bytes freed. @default there is
   * nothing to forget
   */
  readonly forget?: (bytes: number) => number;
  /** The number of threads that share the memory, each with its own watch. @default 1 */
  readonly threads?: number;
  /** @default the figures of the system and V8 */
  readonly use?: () => Use | undefined;
  /** Milliseconds of a monotonic clock. @default performance.now */
  readonly now?: () => number;
}

/** The memory in use. */
interface Use {
  /** 1 = the whole limit. */
  readonly share: number;
  /** The limit in bytes: this thread's part. */
  readonly of: number;
}

/**
 * Watches resident memory and the heap. When memory runs short, the number of connections is capped at nine
 * tenths of those that are open: newcomers are refused, and sessions that end make room for others. First,
 * whatever can be forgotten is; if that is not enough, the sessions that hold the most are ended until the
 * shortage is covered. When memory is sufficient again, the cap is lifted.
 */
export class MemoryWatch implements Disposable {
  /** The largest number of open connections. */
  cap: number = Infinity;
  /** Bytes of resident memory. */
  limit: number;
  readonly #open: Holders;
  readonly #log: Log;
  readonly #forget: (bytes: number) => number;
  readonly #use: () => Use | undefined;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  #collectedAt = -Infinity;
  /** Something was released since the last collection; only the next one shows the effect. */
  #freed = false;

  constructor(
    limit: number | undefined,
    open: Holders,
    log: Log,
    { forget = () => 0, threads = 1, use, now }: MemoryWatchOptions = {},
  ) {
    this.limit = limit ?? defaultLimit();
    this.#open = open;
    this.#log = log;
    this.#forget = forget;
    this.#use = use ?? (() => memoryUse(this.limit, threads));
    this.#now = now ?? (() => performance.now());
    this.#timer = setInterval(() => this.look(), INTERVAL).unref();
  }

  look(): void {
    let use = this.#use();
    if (use === undefined) return;
    let isCollected = false;
    if (use.share > 1 && this.#now() - this.#collectedAt > (this.#freed ? SETTLE : COLLECT)) {
      // V8 would collect only at its own limits, which differ from ours.
      this.#collectedAt = this.#now();
      this.#freed = false;
      collect();
      isCollected = true;
      use = this.#use() ?? use;
    }
    const { share, of } = use;
    if (share > 1) {
      this.#lower();
      // Before a collection, it is unknown how much is garbage.
      if (isCollected) this.#relieve((share - RELIEF) * of);
    } else if (share < RELIEF && this.cap !== Infinity) {
      this.cap = Infinity;
      this.#log.info('memory-sufficient', { open: this.#open.size });
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #lower(): void {
    const open = this.#open.size;
    if (this.cap === Infinity) this.#log.warn('memory-short', { open, limit: Math.round(this.limit) });
    // Memory is still short although the open connections are within the cap.
    if (open <= this.cap) this.cap = Math.max(MIN_CONNECTIONS, Math.floor(open * 0.9));
  }

  /** Frees this many bytes: first what can be forgotten, then the sessions that hold the most. */
  #relieve(bytes: number): void {
    const forgotten = this.#forget(bytes);
    let lacking = bytes - forgotten;
    const holders = lacking <= 0 ? [] : Array.from(this.#open, (holder) => ({ holder, held: holder.held }));
    let ended = 0;
    for (const { holder, held } of holders.toSorted((a, b) => b.held - a.held)) {
      if (lacking <= 0 || held < WORTHWHILE) break;
      lacking -= held;
      holder.shed();
      ended++;
    }
    if (forgotten === 0 && ended === 0) return;
    this.#freed = true;
    this.#log.warn('memory-still-short', {
      forgotten: Math.round(forgotten),
      ended,
    });
  }
}

/**
 * The use of resident memory or heap, whichever is shorter. `undefined` when it cannot be read: Linux reports
 * it in a file, and there may be no descriptor to open it.
 */
function memoryUse(limit: number, threads: number): Use | undefined {
  const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics();
  try {
    const resident = { share: process.memoryUsage.rss() / limit, of: limit / threads };
    const heap = { share: used / (most * HEAP_SHARE), of: most * HEAP_SHARE };
    return resident.share > heap.share ? resident : heap;
  } catch {
    return undefined;
  }
}

export function defaultLimit(): number {
  // Without a limit this is 0, or a number larger than all memory.
  const constrained = process.constrainedMemory();
  const total = totalmem();
  return MEMORY_FRACTION * (constrained > 0 && constrained < total ? constrained : total);
}

function collect(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc === 'function') gc();
}
