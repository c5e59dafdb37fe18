import type { Rate } from '../../policy/policy.ts';
import { ValueError, quote } from '../source/value-error.ts';
import { plain } from './value.ts';

const TIMES: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Node's timers accept at most 2^31 - 1 milliseconds. */
const LONGEST = 24 * TIMES.d!;

/** Parses `500ms`, `30s`, `15m`, `8h` or `2d` into milliseconds. */
export function parseTime(input: unknown): number {
  const [, count, unit] = /^(\d{1,10})(ms|s|m|h|d)$/.exec(plain(input)) ?? [];
  if (count === undefined)
    throw new ValueError(`${quote(input)} is not a time`, 'write 500ms, 30s, 15m, 8h or 2d');
  const ms = Number(count) * TIMES[unit!]!;
  if (ms === 0) throw new ValueError('a time of 0 would not wait at all', 'write 500ms, 30s, 15m, 8h or 2d');
  if (ms > LONGEST) throw new ValueError(`${quote(input)} is too long`, 'write at most 24d');
  return ms;
}

const SIZES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const SIZE = '(\\d{1,12}(?:\\.\\d{1,3})?)(B|[kKMGT]B|[KMGT]iB)';

/** Parses `10MB` (decimal) or `10MiB` (binary) into bytes. */
export function parseSize(input: unknown): number {
  return bytesIn(input, new RegExp(`^${SIZE}$`), 'a size', 'write 500MB, 10GB or 512MiB');
}

/** Parses `10MB/s` into bytes per second. */
export function parseBandwidth(input: unknown): number {
  return bytesIn(input, new RegExp(`^${SIZE}/s$`), 'a bandwidth', 'write 500kB/s, 10MB/s or 10MiB/s');
}

/** Parses `10GB/day` into bytes per day. */
export function parseQuota(input: unknown): number {
  return bytesIn(input, new RegExp(`^${SIZE}/day$`), 'a quota', 'write 10GB/day or 500MB/day');
}

function bytesIn(input: unknown, pattern: RegExp, what: string, remedy: string): number {
  const [, count, unit] = pattern.exec(plain(input)) ?? [];
  if (count === undefined) throw new ValueError(`${quote(input)} is not ${what}`, remedy);
  const bytes = Math.round(Number(count) * SIZES[unit!]!);
  if (bytes < 1) throw new ValueError(`${quote(input)} would let nothing through`, remedy);
  return bytes;
}

/** `50/s`, `100/m` or `1000/h`. */
export function parseRate(input: unknown): Rate {
  const [, count, unit] = /^(\d{1,9})\/(s|m|h|d)$/.exec(plain(input)) ?? [];
  const most = Number(count ?? 0);
  if (most > 0) return { most, per: TIMES[unit!]! };
  throw new ValueError(`${quote(input)} is not a rate`, 'write 50/s, 100/m or 1000/h');
}
