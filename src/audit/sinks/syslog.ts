import { hostname } from 'node:os';
import type { Level } from '../level.ts';
import type { Line } from '../line.ts';

/** RFC 5424, table 1: system daemons. */
const FACILITY = 3;
/** RFC 5424, table 2. */
const SEVERITY = { error: 3, warn: 4, info: 6, debug: 7 } as const satisfies Readonly<Record<Level, number>>;
/** Bytes of a message that receivers accept by default. */
export const MESSAGE_LIMIT = 8192;

/** `<30>` and the like. */
export function formatPriority(level: Level): string {
  return `<${FACILITY * 8 + SEVERITY[level]}>`;
}

/** An RFC 5424 message, with the event as MSGID, without structured data. */
export function encodeMessage({ time, level, event, text }: Line): Buffer {
  const origin = `${host()} garter ${process.pid}`;
  const header = `${formatPriority(level)}1 ${time} ${origin} ${event} -`;
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
