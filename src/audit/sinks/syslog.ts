import { hostname } from 'node:os';
import type { Level } from '../level.ts';
import type { Line } from '../line.ts';

/** RFC 5424, table 1. */
export const FACILITIES = {
  kern: 0,
  user: 1,
  mail: 2,
  daemon: 3,
  auth: 4,
  syslog: 5,
  lpr: 6,
  news: 7,
  uucp: 8,
  cron: 9,
  authpriv: 10,
  ftp: 11,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
} as const;
export type Facility = keyof typeof FACILITIES;
/** RFC 5424, table 2. */
const SEVERITY = { error: 3, warn: 4, info: 6, debug: 7 } as const satisfies Readonly<Record<Level, number>>;
/** Bytes of a message that receivers accept by default. */
export const MESSAGE_LIMIT = 8192;

/** `<30>` and the like. */
export function formatPriority(facility: Facility, level: Level): string {
  return `<${FACILITIES[facility] * 8 + SEVERITY[level]}>`;
}

/** An RFC 5424 message, with the event as MSGID, without structured data. */
export function encodeMessage({ time, level, event, text }: Line, facility: Facility): Buffer {
  const origin = `${host()} garter ${process.pid}`;
  const header = `${formatPriority(facility, level)}1 ${time} ${origin} ${event} -`;
  return cut(Buffer.from(`${header} ${text.slice(0, -1)}`));
}

/** Cuts to MESSAGE_LIMIT bytes at most, between characters. */
export function cut(text: Buffer): Buffer {
  if (text.length <= MESSAGE_LIMIT) return text;
  let end = MESSAGE_LIMIT;
  while ((text[end]! & 0xc0) === 0x80) end--;
  return text.subarray(0, end);
}

function host(): string {
  return hostname().replace(/[^\x21-\x7e]/g, '') || '-';
}
