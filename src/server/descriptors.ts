import { readFileSync } from 'node:fs';

/** For what garter has open besides connections. */
const RESERVE = 32;
/** A session has its client and its target. A BIND has one more while it waits, an association two: three UDP sockets in all. */
const PER_CONNECTION = 2;

/** The connections that this process has descriptors for (RLIMIT_NOFILE, which Node raises as far as it may). */
export function connectionsPossible(): number {
  return Math.max(1, Math.floor((descriptorLimit() - RESERVE) / PER_CONNECTION));
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
