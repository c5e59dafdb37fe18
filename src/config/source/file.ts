import { isUtf8 } from 'node:buffer';
import { readFileSync, statSync } from 'node:fs';
import { textOf } from '../../wire/text-file.ts';
import type { Problem } from './problem.ts';

/** 100,000 networks take a fifth of it. */
const SIZE_LIMIT = 10 * 1024 * 1024;

const REPLACEMENT = '\uFFFD';

/** The text of a configuration file or a list, or the problem with reading it. `where`: the name for messages. */
export function readText(file: string, where: string = file): string | Problem {
  let bytes: Buffer;
  try {
    if (statSync(file).size > SIZE_LIMIT)
      return { where, message: 'the file is longer than 10 MiB', remedy: 'write shorter lists' };
    bytes = readFileSync(file);
  } catch (error) {
    return {
      where,
      ...explain(error instanceof Error && 'code' in error ? String(error.code) : String(error)),
    };
  }
  if (isUtf8(bytes)) return textOf(bytes);
  const { line, column } = firstNotUtf8(bytes);
  return { where, line, column, message: 'the file is not UTF-8 text', remedy: 'save it as UTF-8' };
}

function explain(code: string): { message: string; remedy: string } {
  switch (code) {
    case 'ENOENT':
      return { message: 'there is no such file', remedy: 'name the configuration file' };
    case 'EACCES':
      return {
        message: 'garter has no permission to read the file',
        remedy: 'let the user that runs garter read it',
      };
    case 'EISDIR':
      return { message: 'this is a directory', remedy: 'name the configuration file' };
    default:
      return { message: `the file cannot be read (${code})`, remedy: 'name the configuration file' };
  }
}

function firstNotUtf8(bytes: Buffer): { line: number; column: number } {
  // Invalid bytes are decoded as U+FFFD; skip those that were in the file itself.
  const text = bytes.toString('utf8');
  for (let at = text.indexOf(REPLACEMENT); ; at = text.indexOf(REPLACEMENT, at + 1)) {
    const offset = Buffer.byteLength(text.slice(0, at));
    if (bytes.subarray(offset, offset + 3).equals(Buffer.from(REPLACEMENT))) continue;
    const before = text.slice(0, at).split('\n');
    return { line: before.length, column: before.at(-1)!.length + 1 };
  }
}
