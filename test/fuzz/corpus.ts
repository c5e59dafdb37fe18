import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { Find } from './fuzzer.ts';

const CORPUS = join(import.meta.dirname, 'corpus');

/** The inputs kept by earlier runs, one per line, in hexadecimal; none for a new target. */
export function readCorpus(target: string): Uint8Array[] {
  const file = fileOf(target);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => Buffer.from(line, 'hex'));
}

export function writeCorpus(target: string, inputs: readonly Uint8Array[]): void {
  const lines = inputs.map((input) => `${Buffer.from(input).toString('hex')}\n`);
  writeFileSync(fileOf(target), lines.toSorted().join(''));
}

/** Writes a find in readable form, and returns the file name. */
export function writeFind(folder: string, find: Find): string {
  const { target, fault, error, input } = find;
  const hash = createHash('sha256').update(fault).digest('hex').slice(0, 8);
  const file = join(folder, `${target}-${hash}.txt`);
  const shown = Buffer.from(input);
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, `${shown.toString('hex')}\n${JSON.stringify(shown.toString())}\n${inspect(error)}\n`);
  return file;
}

function fileOf(target: string): string {
  return join(CORPUS, `${target}.hex`);
}
