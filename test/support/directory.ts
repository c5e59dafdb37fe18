import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A temporary directory, removed with its content when disposed of. */
export interface Directory extends AsyncDisposable {
  readonly path: string;
}

export async function makeDirectory(): Promise<Directory> {
  const path = await mkdtemp(join(tmpdir(), 'garter-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, maxRetries: 5 }) };
}
