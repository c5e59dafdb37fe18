import { hostname } from 'node:os';
import type { Level, Line } from '../line.ts';

/** RFC 5424, table 1: system daemons. */
const FACILITY = 3;
/** RFC 5424, table 2. */
const SEVERITY = { error: 3, warn: 4, info: 6, debug: 7 } as const satisfies Readonly<Record<Level, number>>;
/** Bytes of a message: what receivers take unless told otherwise. */
export const MESSAGE_LIMIT = 8192;

/** `<30>` and the like. */
export function formatPriority(level: Level): string {
  return `<${FACILITY * 8 + SEVERITY[level]}>`;
}

/** A message as in RFC 5424, without structured data. */
export function encodeMessage({ time, level, event, message }: Line): Buffer {
  const origin = `${host()} garter ${process.pid}`;
  const header = `${formatPriority(level)}1 ${time} ${origin} ${messageId(event)} -`;
  return cut(Buffer.from(`${header} ${message.slice(0, -1)}`));
}

/** At most MESSAGE_LIMIT bytes of it, and whole characters. */
export function cut(text: Buffer): Buffer {
  if (text.length <= MESSAGE_LIMIT) return text;
  let end = MESSAGE_LIMIT;
  while ((text[end]! & 0xc0) === 0x80) end--;
  return text.subarray(0, end);
}

/** As many of the event's words as fit into 32 characters: `login-failed`. */
function messageId(event: string): string {
  const words = event.match(/\w+/g) ?? [];
  let id = '';
  for (const word of words) {
    if (id.length + word.length >= 32) break;
    id += id === '' ? word : `-${word}`;
  }
  return id || '-';
}

function host(): string {
  return hostname().replace(/[^\x21-\x7e]/g, '') || '-';
}
