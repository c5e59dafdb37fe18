import { accessSync, constants, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Settings } from '../server/settings.ts';

/** Made by systemd, by tmpfiles.d(5), or by hand. */
const SYSTEM_WIDE = '/run/garter';
const CONTROL = 'control.sock';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The directory of a server's sockets for local programs: the one that systemd has made for it, else
 * /run/garter if it can be written, else the folder of its state file. `undefined` where there is none.
 */
export function runtimeDirectory(
  settings: Pick<Settings, 'stateFile'>,
  environment: Environment = process.env,
): string | undefined {
  return directories(settings, environment).find((one) => one !== SYSTEM_WIDE || isWritable(one));
}

/** Where a server opens its control socket; `undefined` where it has none. */
export function controlPath(
  settings: Pick<Settings, 'control' | 'stateFile'>,
  environment: Environment = process.env,
): string | undefined {
  if (settings.control !== undefined) return settings.control || undefined;
  const directory = runtimeDirectory(settings, environment);
  return directory && join(directory, CONTROL);
}

/** The path at which another program, and perhaps another user, finds that socket. */
export function findControl(
  settings: Pick<Settings, 'control' | 'stateFile'>,
  environment: Environment = process.env,
): string | undefined {
  if (settings.control !== undefined) return settings.control || undefined;
  const paths = directories(settings, environment).map((directory) => join(directory, CONTROL));
  return paths.find((path) => existsSync(path)) ?? paths[0];
}

/** systemd separates several directories by colons. */
function directories(
  { stateFile }: Pick<Settings, 'stateFile'>,
  { RUNTIME_DIRECTORY }: Environment,
): string[] {
  const [own] = RUNTIME_DIRECTORY?.split(':') ?? [];
  return [...(own ? [own] : []), SYSTEM_WIDE, ...(stateFile === undefined ? [] : [dirname(stateFile)])];
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
