import { F_SETPIPE_SZ, NONBLOCK_CLOEXEC } from '../../sys/constants.ts';
import { libc } from '../../sys/libc.ts';
import { addressOf, int32, reserve } from '../../sys/memory.ts';
import type { Loop } from './loop.ts';

/** Bytes requested. Half of what an unprivileged user can request performs as well. */
const WANTED = 1 << 19;
/** A smaller pipe moves no more per call than a copy does. */
const USEFUL = 1 << 16;
/**
 * Pipes open at a time in all threads, in use or not: 64 MiB, the kernel's limit for an unprivileged user. A
 * peer that does not read keeps one full; when all are full, other flows are copied.
 */
const MAX_PIPES = 128;
/** Empty pipes kept for reuse. */
const KEPT = 32;

export interface Pipe {
  readonly into: number;
  readonly outOf: number;
  readonly size: number;
  /** Bytes in the pipe, maintained by its holder. */
  held: number;
  /** Its slots in the loop. */
  readonly slots: readonly [number, number];
}

const pair = reserve(8) >> 2;
const PAIR = addressOf(pair << 2);

/**
 * Pipes for splice(2), which moves bytes between sockets without copying: borrowed while bytes are in
 * transit.
 */
export class Pipes {
  readonly #loop: Loop;
  readonly #most: number;
  readonly #free: Pipe[] = [];
  #open = 0;
  #relays = 0;

  /** `threads`: the number of threads that share the user's limit. */
  constructor(loop: Loop, threads: number) {
    this.#loop = loop;
    this.#most = Math.max(1, Math.floor(MAX_PIPES / threads));
  }

  /** `undefined` when none is available: then bytes are copied. */
  take(): Pipe | undefined {
    return this.#free.pop() ?? this.#make();
  }

  /** Keeps the pipe for reuse if it is empty. */
  giveBack(pipe: Pipe): void {
    if (pipe.held === 0 && this.#free.length < KEPT) this.#free.push(pipe);
    else this.#discard(pipe);
  }

  /** Called when a relay begins. */
  join(): void {
    this.#relays++;
  }

  /** Called when a relay has ended; the last one closes the pipes. */
  leave(): void {
    this.#relays--;
    if (this.#relays === 0) for (const pipe of this.#free.splice(0)) this.#discard(pipe);
  }

  #make(): Pipe | undefined {
    if (this.#open >= this.#most || libc.pipe2(PAIR, NONBLOCK_CLOEXEC) < 0) return undefined;
    this.#open++;
    const [outOf, into] = [int32[pair]!, int32[pair + 1]!];
    let size = -1;
    for (let wanted = WANTED; size < 0 && wanted >= USEFUL; wanted /= 4)
      size = libc.fcntl(into, F_SETPIPE_SZ, wanted);
    const slots = [this.#loop.hold(into), this.#loop.hold(outOf)] as const;
    const pipe: Pipe = { into, outOf, size, held: 0, slots };
    if (size >= USEFUL) return pipe;
    this.#discard(pipe);
    return undefined;
  }

  #discard({ into, outOf, slots }: Pipe): void {
    for (const slot of slots) this.#loop.letGo(slot);
    libc.close(into);
    libc.close(outOf);
    this.#open--;
  }
}
