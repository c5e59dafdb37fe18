import type { Fields, LogEntry } from './line.ts';

/** `2026-11-21T10:00:00.123Z info heading name=value …` and a newline. */
export function formatText(time: string, level: string, heading: string, fields: Fields): string {
  return formatPrefix(time, level) + formatFields(heading, fields);
}

/** `2026-11-21T10:00:00.123Z info `, which precedes the heading. */
export function formatPrefix(time: string, level: string): string {
  return `${time} ${level} `;
}

/**
 * `heading name=value …` and a newline; a value with anything but plain characters is quoted as in JSON. The heading is
 * one of garter's own.
 */
export function formatFields(heading: string, fields: Fields): string {
  let text = heading;
  let values = '0';
  let isPlain = true;
  for (const name in fields) {
    const value = fields[name];
    if (value === undefined) continue;
    text += ` ${name}=${value}`;
    if (typeof value === 'number') continue;
    values += value;
    if (value === '') isPlain = false;
  }
  // One test for all values: nearly every line is plain, and a busy server writes thousands per second.
  return isPlain && PLAIN.test(values) ? `${text}\n` : formatQuoting(heading, fields);
}

function formatQuoting(heading: string, fields: Fields): string {
  let text = heading;
  for (const name in fields) {
    const value = fields[name];
    if (value === undefined) continue;
    text += typeof value === 'number' || PLAIN.test(value) ? ` ${name}=${value}` : ` ${name}=${quote(value)}`;
  }
  return `${text}\n`;
}

/** One JSON object per line: what happened, then the fields. `message` and the like are garter's own. */
export function formatJson({ time, level, event, message, fields }: LogEntry): string {
  let text = `{"time":"${time}","level":"${level}","event":"${event}"`;
  if (message !== undefined) text += `,"message":"${message}"`;
  for (const name in fields) {
    const value = fields[name];
    if (value === undefined) continue;
    text += `,"${name}":${typeof value === 'number' ? value : quote(value)}`;
  }
  return `${text}}\n`;
}

const PLAIN = /^[\w.:,@+/%*[\]-]+$/;
const NEEDS_ESCAPE = /[^\x20-\x7e]/;
/**
 * Everything that moves the cursor, ends a line, or hides or reorders text: controls, formats, separators,
 * lone surrogates, unassigned.
 */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** A JSON string that displays control characters from a peer instead of passing them to the terminal. */
function quote(text: string): string {
  const quoted = JSON.stringify(text);
  return NEEDS_ESCAPE.test(quoted) ? escapeControls(quoted) : quoted;
}

/** Shows control, format and unassigned characters as `\\u001b`; plain text is returned as it is. */
export function escapeControls(text: string): string {
  if (!NEEDS_ESCAPE.test(text)) return text;
  return text.replace(UNSAFE, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}

/**
 * Formats times as ISO 8601 in UTC with milliseconds. Caches the text of the current second: a busy server
 * logs thousands of lines in each.
 */
export class Timestamps {
  #second = 0;
  #text = '1970-01-01T00:00:00.';

  format(time: number): string {
    const second = Math.floor(time / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = new Date(second * 1000).toISOString().slice(0, 20);
    }
    return `${this.#text}${String(time - second * 1000).padStart(3, '0')}Z`;
  }
}
