import { ValueError, quote } from './value-error.ts';
import { plain } from './value.ts';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Node's timers take no more than 2^31 - 1 milliseconds. */
const LONGEST = 24 * UNITS.d!;

/** Milliseconds of `500ms`, `30s`, `15m`, `8h` or `2d`. */
export function parseTime(input: unknown): number {
  const [, count, unit] = /^(\d{1,10})(ms|s|m|h|d)$/.exec(plain(input)) ?? [];
  if (count === undefined)
    throw new ValueError(`${quote(input)} is not a time`, 'write 500ms, 30s, 15m, 8h or 2d');
  const ms = Number(count) * UNITS[unit!]!;
  if (ms === 0) throw new ValueError('a time of 0 would never wait', 'write 500ms, 30s, 15m, 8h or 2d');
  if (ms > LONGEST) throw new ValueError(`${quote(input)} is too long`, 'write at most 24d');
  return ms;
}
