import { accessSync, constants } from 'node:fs';
import { accountOf } from '../config/checks/account.ts';
import { codeOf } from '../wire/error-code.ts';
import { Server } from '../server/server.ts';
import type { StartOptions } from '../server/server.ts';
import type { Settings } from '../server/settings.ts';

/**
 * Starts a server as root, then switches to another user for good. As root it only opens ports and writes no
 * files: in a folder writable by the user, root would follow links that the user has put there. Anything that
 * the user has no permission for is reported at once. Rejects like `Server.start`, or with an Error that
 * describes the obstacle.
 */
export async function startAs(user: string, settings: Settings, options: StartOptions): Promise<Server> {
  const account = accountOf(user);
  if (account === undefined)
    throw Object.assign(new Error(`run-as: this machine has no user ${JSON.stringify(user)}`), {
      code: 'ERR_RUN_AS',
    });
  const { uid, gid, groups } = account;
  const server = await Server.start(portsOf(settings), options);
  try {
    process.setgroups!([...groups]);
    process.setgid!(gid);
    process.setuid!(uid);
    await server.reload(settings);
  } catch (error) {
    await server.close();
    if (codeOf(error) === 'EACCES')
      (error as Error).message += `; with run-as, ${user} must be able to do that`;
    throw error;
  }
  return server;
}

/** Only root can switch to another user. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

export function mayRead(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** Without everything that is a file: log, quotas and unix sockets, that of control included. */
function portsOf(settings: Settings): Settings {
  const listeners = settings.listeners.filter(({ address }) => !('path' in address));
  const { level, format } = settings.log;
  const log = { level, format, to: ['stderr'] as const };
  const ports = { ...settings, listeners, log, control: false as const };
  delete ports.stateFile;
  return ports;
}
