import { execFileSync } from 'node:child_process';
import { accessSync, chownSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Settings } from '../server/settings.ts';

/**
 * Becomes another user, for good; only root can. What garter will go on to read and write is handed over or checked before
 * anybody is served. Throws an Error that says what is in the way.
 */
export function runAs(user: string, { log, stateFile, users }: Settings): void {
  const [uid = 0] = idsOf(user, '-u');
  const groups = idsOf(user, '-G');
  const [gid = 0] = idsOf(user, '-g');
  for (const file of [typeof log.to === 'object' && 'file' in log.to ? log.to.file : undefined, stateFile]) {
    if (file !== undefined && statSync(file).isFile()) chownSync(file, uid, gid);
  }
  process.setgroups!(groups);
  process.setgid!(gid);
  process.setuid!(uid);
  if (stateFile !== undefined) may(user, 'write into the folder', dirname(stateFile), constants.W_OK);
  if (users?.file !== undefined) may(user, 'read', users.file, constants.R_OK);
}

/** Only root can become somebody else. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** User, groups or primary group, from whatever the system keeps its users in. */
function idsOf(user: string, which: '-u' | '-G' | '-g'): number[] {
  try {
    const text = execFileSync('id', [which, '--', user], { encoding: 'utf8', stdio: 'pipe' });
    return text.trim().split(' ').map(Number);
  } catch (error) {
    throw new Error(`run-as: this machine has no user ${JSON.stringify(user)}`, { cause: error });
  }
}

function may(user: string, what: string, path: string, mode: number): void {
  try {
    accessSync(path, mode);
  } catch (error) {
    throw new Error(`run-as: ${user} may not ${what} ${path}`, { cause: error });
  }
}
