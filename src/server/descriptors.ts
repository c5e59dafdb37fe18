import { readFileSync } from 'node:fs';

/** For what garter has open besides connections, and for what a thread of several has. */
const RESERVE = 32;
const PER_THREAD = 8;
/** A session has its client and its target. A BIND has one more while it waits, an association two: three UDP sockets in all. */
const PER_CONNECTION = 2;

/** The connections that this process has descriptors for (RLIMIT_NOFILE, which Node raises as far as it may). */
export function connectionsPossible(threads: number): number {
  const reserve = threads === 1 ? RESERVE : RESERVE + threads * PER_THREAD;
  return Math.max(1, Math.floor((descriptorLimit() - reserve) / PER_CONNECTION));
}

/** The threads that leave enough descriptors for connections. */
export function threadsPossible(): number {
  return Math.max(1, Math.floor((descriptorLimit() - RESERVE) / PER_THREAD / 4));
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
