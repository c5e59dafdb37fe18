import type { Range } from './mask.ts';
import { secretsInLine } from './mask.ts';

const WIDTH = 100;
const MASK = '***';

/**
 * A line of a file with carets below the range `meant`. Secrets are masked: those recognisable within the
 * line, and `secrets`, found by reading the whole file. Offsets count from the start of the line.
 */
export function excerpt(line: string, number: number, meant: Range, secrets: readonly Range[]): string {
  const masked = mask(line, [...secretsInLine(line), ...secrets]);
  const shown = clip(
    masked.text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => ' '.repeat(one.length)).trimEnd(),
    masked.at(meant.start),
    masked.at(meant.end),
  );
  const gutter = String(number).padStart(5);
  const carets = '^'.repeat(Math.max(1, shown.end - shown.start));
  return `${gutter} | ${shown.text}\n${' '.repeat(gutter.length)} | ${' '.repeat(shown.start)}${carets}`;
}

/** The line without its secrets, and a function that maps offsets. */
function mask(line: string, secrets: readonly Range[]): { text: string; at: (offset: number) => number } {
  const merged: { start: number; end: number }[] = [];
  for (const { start, end } of secrets.toSorted((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  let text = '';
  let from = 0;
  for (const { start, end } of merged) {
    text += line.slice(from, start) + MASK;
    from = end;
  }
  text += line.slice(from);
  const at = (offset: number): number => {
    let shift = 0;
    for (const { start, end } of merged) {
      if (offset <= start) break;
      if (offset < end) return start + shift;
      shift += MASK.length - (end - start);
    }
    return offset + shift;
  };
  return { text, at };
}

/** At most WIDTH characters around the range. */
function clip(text: string, start: number, end: number): Range & { readonly text: string } {
  if (text.length <= WIDTH)
    return { text, start: Math.min(start, text.length), end: Math.min(end, text.length) };
  const from = Math.max(0, Math.min(start - WIDTH / 2, text.length - WIDTH));
  const lead = from > 0 ? '…' : '';
  const tail = from + WIDTH < text.length ? '…' : '';
  const at = (offset: number): number => Math.min(Math.max(0, offset - from), WIDTH) + lead.length;
  return { text: `${lead}${text.slice(from, from + WIDTH)}${tail}`, start: at(start), end: at(end) };
}
