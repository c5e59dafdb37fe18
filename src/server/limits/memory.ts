import { totalmem } from 'node:os';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Log } from '../../audit/log.ts';

/** Milliseconds between two looks, and between two collections while memory is short. */
const INTERVAL = 500;
const COLLECT = 10_000;
/** Until it is known what has come of what was let go: sockets close, and what they held becomes garbage. */
const SETTLE = 2000;
/** Of what the machine or the container has. */
const MEMORY_FRACTION = 0.8;
/** Of V8's heap, which ends the process when it is full. */
const HEAP_SHARE = 0.9;
/** Below this share of the limit there is room again. */
const RELIEF = 0.95;
/** Bytes. Ending those who hold less would free too little. */
const WORTHWHILE = 16_384;
/** However short memory is, so many may be open: what is left then is not their fault. */
const MIN_CONNECTIONS = 16;

/** Something open that keeps bytes for its peers, and can be ended for it. */
export interface Holder {
  /** Bytes, about. */
  readonly held: number;
  /** Ends it: memory is short. */
  shed(): void;
}

/** All that is open. */
export interface Holders extends Iterable<Holder> {
  readonly size: number;
}

interface MemoryWatchOptions {
  /** Forgets so many bytes, if there are that many, without ending anybody; tells how many. @default there is nothing to forget */
  readonly forget?: (bytes: number) => number;
  /** How many threads share the memory, each with a watch of its own. @default 1 */
  readonly threads?: number;
  /** @default what the system and V8 say */
  readonly use?: () => Use | undefined;
  /** Milliseconds on a clock that never jumps. @default performance.now */
  readonly now?: () => number;
}

/** How much memory is in use. */
interface Use {
  /** 1 = as much as may be. */
  readonly share: number;
  /** Of so many bytes, which are this thread's. */
  readonly of: number;
}

/**
 * Watches resident memory and heap. When they run short, no more connections than there are, less a tenth, may be open:
 * newcomers are refused first, and those that leave make room for others. What can be forgotten is; if that is not enough, those
 * that hold most are ended, until as much is freed as is lacking. When there is enough again, all may come.
 */
export class MemoryWatch implements Disposable {
  /** Connections that may be open. */
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
  /** Something was let go since the last collection, which shows only with the next. */
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
      // V8 by itself would wait for its own limits, which are others than ours.
      this.#collectedAt = this.#now();
      this.#freed = false;
      collect();
      isCollected = true;
      use = this.#use() ?? use;
    }
    const { share, of } = use;
    if (share > 1) {
      this.#lower();
      // Before a collection nobody can tell what is garbage.
      if (isCollected) this.#relieve((share - RELIEF) * of);
    } else if (share < RELIEF && this.cap !== Infinity) {
      this.cap = Infinity;
      this.#log.info('memory is sufficient again', { open: this.#open.size });
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #lower(): void {
    const open = this.#open.size;
    if (this.cap === Infinity)
      this.#log.warn('memory is short; refusing new connections', { open, limit: Math.round(this.limit) });
    // It is still short with those beyond the cap gone.
    if (open <= this.cap) this.cap = Math.max(MIN_CONNECTIONS, Math.floor(open * 0.9));
  }

  /** Lets go of so many bytes: what can be forgotten, then those who hold most. */
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
    this.#log.warn(
      'memory is still short; UDP destinations are forgotten, then the sessions that hold the most are ended',
      {
        forgotten: Math.round(forgotten),
        ended,
      },
    );
  }
}

/** Of resident memory or heap, whichever is shorter. `undefined` when nobody can tell: Linux keeps it in a file, and there may be no descriptor to open it. */
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
  // Without a limit it is 0, or a number beyond all memory.
  const constrained = process.constrainedMemory();
  const total = totalmem();
  return MEMORY_FRACTION * (constrained > 0 && constrained < total ? constrained : total);
}

function collect(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc === 'function') gc();
}
