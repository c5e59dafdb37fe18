import { execFileSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';

/** A user of this machine, with the rights that the modes of files give it. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** The account with this name; `undefined` if this machine has none. */
export function accountOf(name: string): Account | undefined {
  try {
    const [uid = 0] = idsOf(name, '-u');
    const [gid = 0] = idsOf(name, '-g');
    return { name, uid, gid, groups: idsOf(name, '-G') };
  } catch {
    return undefined;
  }
}

/** The account of this process. */
export function ownAccount(): Account {
  const [uid = 0, gid = 0] = [process.geteuid?.(), process.getegid?.()];
  return { name: ownName(uid), uid, gid, groups: process.getgroups?.() ?? [gid] };
}

type Access = 'read' | 'write';

const BITS: Readonly<Record<Access, number>> = { read: constants.R_OK, write: constants.W_OK };

/**
 * Whether an account may read a file, or write it or in a folder. `undefined` where this cannot be found out,
 * since the file does not exist or this process may not look.
 */
export function mayAccess(account: Account, path: string, want: Access): boolean | undefined {
  try {
    const found = statSync(path);
    if (account.uid === process.geteuid?.()) return isGranted(path, BITS[want]);
    const isFolder = found.isDirectory();
    return (
      isAllowed(account, path, BITS[want] | (isFolder ? constants.X_OK : 0)) &&
      foldersAbove(path).every((folder) => isAllowed(account, folder, constants.X_OK))
    );
  } catch {
    return undefined;
  }
}

/** By the kernel, which knows capabilities, access lists and read-only file systems. */
function isGranted(path: string, bits: number): boolean {
  try {
    accessSync(path, bits);
    return true;
  } catch {
    return false;
  }
}

/** By the mode alone. */
function isAllowed({ uid, gid, groups }: Account, path: string, bits: number): boolean {
  if (uid === 0) return true;
  const { mode, uid: owner, gid: group } = statSync(path);
  const shift = owner === uid ? 6 : group === gid || groups.includes(group) ? 3 : 0;
  return ((mode >> shift) & bits) === bits;
}

function foldersAbove(path: string): string[] {
  const folder = dirname(path);
  return folder === path ? [] : [folder, ...foldersAbove(folder)];
}

/** The ids of a user, its groups or its primary group, from the system's user database. */
function idsOf(user: string, which: '-u' | '-G' | '-g'): number[] {
  const text = execFileSync('id', [which, '--', user], { encoding: 'utf8', stdio: 'pipe' });
  return text.trim().split(' ').map(Number);
}

/** In a container, the user may have no name. */
function ownName(uid: number): string {
  try {
    return userInfo().username;
  } catch {
    return String(uid);
  }
}
