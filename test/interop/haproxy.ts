import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectory } from '../support/directory.ts';
import { start } from '../support/process.ts';
import type { Daemon } from '../support/process.ts';

/** Runs HAProxy with this section, until it is disposed of. */
export async function startHaproxy(mode: 'http' | 'tcp', section: string): Promise<Daemon> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await makeDirectory());
  const config = join(directory.path, 'haproxy.cfg');
  await writeFile(
    config,
    `global
  log stdout format raw daemon
defaults
  mode ${mode}
  timeout connect 5s
  timeout client 30s
  timeout server 30s
${section}
`,
  );
  const daemon = stack.use(await start(['haproxy', '-d', '-f', config], { ready: /polling mechanism/ }));
  const resources = stack.move();
  return { ...daemon, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
