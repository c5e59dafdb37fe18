import { totalmem } from 'node:os';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Log } from '../audit/log.ts';

/** Milliseconds between two looks, and between two collections while memory is short. */
const INTERVAL = 500;
const COLLECT = 10_000;
/** Of what the machine or the container has. */
const SHARE = 0.8;
/** Of V8's heap, which ends the process when it is full. */
const HEAP_SHARE = 0.9;
/** Below this share of the limit there is room again. */
const RELIEF = 0.95;
/** Bytes. Ending those who hold less would free too little. */
const WORTHWHILE = 16_384;
/** However short memory is, so many may be open: what is left then is not their fault. */
const LEAST = 16;

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

/**
 * Watches resident memory and heap. When they run short, no more connections than there are, less a tenth, may be open:
 * newcomers are refused first, and those that leave make room for others. Of those that are open, whoever holds most is ended,
 * until as much is freed as is lacking. When there is enough again, all may come.
 */
export class MemoryWatch implements Disposable {
  /** Connections that may be open. */
  cap: number = Infinity;
  /** Bytes of resident memory. */
  limit: number;
  readonly #open: Holders;
  readonly #log: Log;
  readonly #threads: number;
  readonly #use: () => number | undefined;
  readonly #timer: NodeJS.Timeout;
  #collectedAt = -Infinity;
  /** Somebody was ended since the last collection, which shows only with the next. */
  #shed = false;

  /**
   * `open`: the connections that are open. `threads`: how many share the memory, each with a watch of its own. `use` tells how
   * much of the memory is in use: 1 = as much as may be.
   */
  constructor(
    limit: number | undefined,
    open: Holders,
    log: Log,
    threads = 1,
    use: () => number | undefined = () => memoryUse(this.limit),
  ) {
    this.limit = limit ?? defaultLimit();
    this.#open = open;
    this.#log = log;
    this.#threads = threads;
    this.#use = use;
    this.#timer = setInterval(() => this.look(), INTERVAL).unref();
  }

  look(): void {
    let use = this.#use();
    if (use === undefined) return;
    if (use > 1 && (this.#shed || performance.now() - this.#collectedAt > COLLECT)) {
      // V8 by itself would wait for its own limits, which are others than ours.
      this.#collectedAt = performance.now();
      this.#shed = false;
      collect();
      use = this.#use() ?? use;
    }
    if (use > 1) {
      this.#lower();
      this.#relieve(use);
    } else if (use < RELIEF && this.cap !== Infinity) {
      this.cap = Infinity;
      this.#log.info('memory suffices again', { open: this.#open.size });
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #lower(): void {
    const open = this.#open.size;
    if (this.cap === Infinity)
      this.#log.warn('memory is short: new connections are refused', { open, limit: Math.round(this.limit) });
    // It is still short with those beyond the cap gone.
    if (open <= this.cap) this.cap = Math.max(LEAST, Math.floor(open * 0.9));
  }

  /** Ends those who hold most. */
  #relieve(use: number): void {
    let lacking = ((use - RELIEF) * this.limit) / this.#threads;
    const holders = Array.from(this.#open, (holder) => ({ holder, held: holder.held }))
      .filter(({ held }) => held >= WORTHWHILE)
      .toSorted((a, b) => b.held - a.held);
    let ended = 0;
    for (const { holder, held } of holders) {
      if (lacking <= 0) break;
      lacking -= held;
      holder.shed();
      ended++;
    }
    if (ended === 0) return;
    this.#shed = true;
    this.#log.warn('memory is short: those who held most were ended', { ended });
  }
}

/** `undefined` when nobody can tell: Linux keeps it in a file, and there may be no descriptor to open it. */
function memoryUse(limit: number): number | undefined {
  const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics();
  try {
    return Math.max(process.memoryUsage.rss() / limit, used / most / HEAP_SHARE);
  } catch {
    return undefined;
  }
}

export function defaultLimit(): number {
  // Without a limit it is 0, or a number beyond all memory.
  const constrained = process.constrainedMemory();
  const total = totalmem();
  return SHARE * (constrained > 0 && constrained < total ? constrained : total);
}

function collect(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc === 'function') gc();
}
