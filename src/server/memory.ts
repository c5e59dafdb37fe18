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
/** However short memory is, so many may be open: what is left then is not their fault. */
const LEAST = 16;

/**
 * Watches resident memory and heap. When they run short, no more connections than there are, less a tenth, may be open:
 * newcomers are refused first, and those that leave make room for others. When they have enough again, all may come.
 */
export class MemoryWatch implements Disposable {
  /** Connections that may be open. */
  cap: number = Infinity;
  /** Bytes of resident memory. */
  limit: number;
  readonly #open: () => number;
  readonly #log: Log;
  readonly #use: () => number | undefined;
  readonly #timer: NodeJS.Timeout;
  #collectedAt = -Infinity;

  /** `open` tells the connections that are open; `use` how much of the memory is in use: 1 = as much as may be. */
  constructor(
    limit: number | undefined,
    open: () => number,
    log: Log,
    use: () => number | undefined = () => memoryUse(this.limit),
  ) {
    this.limit = limit ?? defaultLimit();
    this.#open = open;
    this.#log = log;
    this.#use = use;
    this.#timer = setInterval(() => this.look(), INTERVAL).unref();
  }

  look(): void {
    let use = this.#use();
    if (use === undefined) return;
    if (use > 1 && performance.now() - this.#collectedAt > COLLECT) {
      // V8 by itself would wait for its own limits, which are others than ours.
      this.#collectedAt = performance.now();
      collect();
      use = this.#use() ?? use;
    }
    if (use > 1) this.#lower();
    else if (use < RELIEF && this.cap !== Infinity) {
      this.cap = Infinity;
      this.#log.info('memory suffices again', { open: this.#open() });
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #lower(): void {
    const open = this.#open();
    if (this.cap === Infinity)
      this.#log.warn('memory is short: new connections are refused', { open, limit: Math.round(this.limit) });
    // It is still short with those beyond the cap gone.
    if (open <= this.cap) this.cap = Math.max(LEAST, Math.floor(open * 0.9));
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
