import { maskUrls } from './mask.ts';

/** An invalid value, and what to write instead. */
export class ValueError extends Error {
  override readonly name = 'ValueError';
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** For a known feature that is not supported yet. */
export function notYet(what: string): ValueError {
  return new ValueError(`not yet: ${what} is not part of this version`, 'leave it out');
}

/** A value for use in messages: shortened, control characters escaped, passwords in URLs masked. */
export function quote(input: unknown): string {
  if (input === undefined || input === null) return 'nothing';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object') return 'a map';
  if (typeof input === 'number' || typeof input === 'boolean') return String(input);
  if (typeof input !== 'string') return `a ${typeof input}`;
  const shown = maskUrls(JSON.stringify(input));
  return shown.length > 60 ? `${shown.slice(0, 57)}…` : shown;
}

/** `a, b or c` */
export function either(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
