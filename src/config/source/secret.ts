import { readFileSync, statSync } from 'node:fs';
import { codeOf } from '../../wire/error-code.ts';
import { isUtf16, textOf } from '../../wire/text-file.ts';
import { ValueError } from './value-error.ts';

/**
 * The secret in a file, without byte order mark and line ending. Throws a ValueError, also for a file that
 * others can read.
 */
export function readSecret(path: string, remedy = 'name a file that contains only the secret'): string {
  let secret: string;
  try {
    // Windows has no such permission bits.
    if (process.platform !== 'win32' && (statSync(path).mode & 0o006) !== 0) {
      throw new ValueError(`others can read or write ${path}`, `run chmod o-rw ${path}`);
    }
    const bytes = readFileSync(path);
    if (isUtf16(bytes)) throw new ValueError(`${path} is UTF-16 text`, 'save it as UTF-8');
    secret = textOf(bytes).replace(/\r?\n$/, '');
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    throw new ValueError(`${path} cannot be read (${code})`, remedy);
  }
  if (secret === '') throw new ValueError(`${path} is empty`, remedy);
  return secret;
}
