import { readFileSync } from 'node:fs';

/** For what garter has open besides connections, and for what a thread of several has. */
const RESERVE = 32;
const PER_THREAD = 8;
/** A session has its client and its target. A BIND has one more while it waits, an association two: three UDP sockets in all. */
const PER_CONNECTION = 2;

/** Of those that are left, one in so many is for connections that have ended and whose client has its answer still to read. */
const PER_LINGERING = 16;
const MOST_LINGERING = 512;
/** Of all descriptors, those that are lent for a moment: a sixteenth, within these bounds. */
const SPARE = { share: 1 / 16, least: 8, most: 512 } as const;

/** The connections that this process has descriptors for (RLIMIT_NOFILE, which Node raises as far as it may). */
export function connectionsPossible(threads: number): number {
  const left = free(threads) - lingering(threads) - sparePossible();
  return Math.max(1, Math.floor(left / PER_CONNECTION));
}

/** The connections of each thread that may wait for their client to read the answer. */
export function lingeringPossible(threads: number): number {
  return Math.max(1, Math.floor(lingering(threads) / threads));
}

/** Descriptors that are left for what needs more than its connection has. */
export function sparePossible(): number {
  return Math.min(Math.max(Math.floor(descriptorLimit() * SPARE.share), SPARE.least), SPARE.most);
}

/** The threads that leave enough descriptors for connections. */
export function threadsPossible(): number {
  return Math.max(1, Math.floor((descriptorLimit() - RESERVE) / PER_THREAD / 4));
}

function lingering(threads: number): number {
  return Math.min(MOST_LINGERING, Math.floor(free(threads) / PER_LINGERING));
}

function free(threads: number): number {
  return descriptorLimit() - (threads === 1 ? RESERVE : RESERVE + threads * PER_THREAD);
}

/** Infinity where nobody tells. */
function descriptorLimit(): number {
  let text: string;
  try {
    text = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return Infinity;
  }
  const [, limit] = /^Max open files +(\d+)/m.exec(text) ?? [];
  return Number(limit ?? Infinity);
}
