import { readFileSync, statSync } from 'node:fs';
import { ValueError } from './value.ts';

/** A part of a text that must not be shown; `end` is exclusive. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Keys whose values are secrets. */
export const SECRET_KEYS: ReadonlySet<string> = new Set(['password', 'secret', 'token']);

// What only says where a secret is, ${NAME} or { file: path }, is shown.
const URL_PASSWORD = /(?<=:\/\/[^\s:@/]*:)(?!\$\{\w+\}@[^@]*$).+(?=@)/g;
const NAMED_SECRET = /(?<=\b(?:password|secret|token)["']?\s*:\s*)(?!\s|["']?\$\{\w+\}|\{\s*file\s*:).+$/g;

/** Where a line of a file shows a secret, as far as the line itself can tell. */
export function secretsInLine(line: string): Range[] {
  return [URL_PASSWORD, NAMED_SECRET].flatMap((pattern) =>
    Array.from(line.matchAll(pattern), ({ index, 0: text }) => ({ start: index, end: index + text.length })),
  );
}

/** The text with the password of every URL replaced. */
export function maskUrls(text: string): string {
  return text.replaceAll(URL_PASSWORD, '***');
}

/** The secret in a file, without the end of its line. Throws a ValueError; a file that others can read holds no secret. */
export function readSecret(path: string): string {
  let text: string;
  try {
    // Windows has no such mode bits.
    if (process.platform !== 'win32' && (statSync(path).mode & 0o006) !== 0) {
      throw new ValueError(`others can read or write ${path}`, `write chmod o-rw ${path}`);
    }
    text = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    if (error instanceof ValueError) throw error;
    throw new ValueError(`${path} cannot be read (${codeOf(error)})`, 'name a file that holds only the secret');
  }
  if (text === '') throw new ValueError(`${path} is empty`, 'name a file that holds only the secret');
  return text;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
