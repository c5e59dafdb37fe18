import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { hashPassword } from '../../src/auth/argon2.ts';
import { check } from '../../src/cli/check.ts';
import { makeDirectory } from './directory.ts';
import type { Directory } from './directory.ts';

export interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `garter check` with this command line, in which FILE is replaced by the file. */
export async function run(line: string, file: string, env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const args = line.split(' ').filter((word) => word !== '');
  const status = await check(
    args.map((word) => (word === 'FILE' ? file : word)),
    { stdout, stderr, env },
  );
  const read = (stream: PassThrough): string => String(stream.read() ?? '').replaceAll(file, 'FILE');
  return { status, out: read(stdout), err: read(stderr) };
}

const HASH = await hashPassword('hunter2');

/**
 * A configuration file, next to a users file: alice of staff and dev, bob, and carol of staff, who has
 * expired, and erin, who is disabled.
 */
export async function prepare(config: string): Promise<Directory & { readonly file: string }> {
  const directory = await makeDirectory();
  const file = join(directory.path, 'garter.yaml');
  await writeFile(file, config);
  await writeFile(
    join(directory.path, 'users.txt'),
    `alice:${HASH}:staff,dev\nbob:${HASH}\ncarol:${HASH}:staff:expires=2026-11-19\nerin:${HASH}:disabled\n`,
    { mode: 0o600 },
  );
  return { ...directory, file, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}
