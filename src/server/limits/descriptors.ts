import { readFileSync } from 'node:fs';

/** Descriptors for everything but connections, and for each of several threads. */
const RESERVE = 32;
const PER_THREAD = 8;
/**
 * A session has its client and its target. A waiting BIND has one more; an association two more: its client
 * and three UDP sockets.
 */
const PER_CONNECTION = 2;

/**
 * One in this many of the remaining descriptors is for connections that have ended, but whose client has yet
 * to read its answer.
 */
const PER_LINGERING = 16;
const MOST_LINGERING = 512;
/** The share of all descriptors that can be borrowed for a moment, with its bounds. */
const SPARE = { share: 1 / 16, least: 8, most: 512 } as const;

/**
 * The number of connections for which this process has descriptors (RLIMIT_NOFILE, which Node raises to its
 * hard limit).
 */
export function connectionsPossible(threads: number): number {
  const left = free(threads) - lingering(threads) - sparePossible();
  return Math.max(1, Math.floor(left / PER_CONNECTION));
}

/** The number of ended connections in each thread whose client has yet to read its answer. */
export function lingeringPossible(threads: number): number {
  return Math.max(1, Math.floor(lingering(threads) / threads));
}

/** Descriptors for operations that need more than their connection's share. */
export function sparePossible(): number {
  return Math.min(Math.max(Math.floor(descriptorLimit() * SPARE.share), SPARE.least), SPARE.most);
}

/** The largest number of threads that leaves enough descriptors for connections. */
export function threadsPossible(): number {
  return Math.max(1, Math.floor((descriptorLimit() - RESERVE) / PER_THREAD / 4));
}

function lingering(threads: number): number {
  return Math.min(MOST_LINGERING, Math.floor(free(threads) / PER_LINGERING));
}

function free(threads: number): number {
  return descriptorLimit() - (threads === 1 ? RESERVE : RESERVE + threads * PER_THREAD);
}

/** Infinity where the system does not report it. */
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
