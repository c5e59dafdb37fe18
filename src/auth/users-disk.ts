import { isUtf8 } from 'node:buffer';
import type { BigIntStats } from 'node:fs';
import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isUtf16, textOf } from '../wire/text-file.ts';
import { formatFaults, parseUsers } from './users-file.ts';
import type { ParsedUsers, User, UsersFault } from './users-file.ts';

/** The users file must not be used. The message names it and gives the reason, and never contains a hash. */
export class UsersFileError extends Error {
  override readonly name = 'UsersFileError';
}

export interface LoadedUsers extends ParsedUsers {
  /** The hashes are readable by users other than its owner and group. */
  readonly exposed: boolean;
  /** Changes whenever the file does. */
  readonly version: string;
}

export interface WatchUsersOptions {
  /** The version that is already loaded, so that a change since then is detected. */
  readonly version: string;
  /**
   * Milliseconds between two checks. A change is loaded when two checks in a row agree, so never
   * half-written. @default 500
   */
  readonly interval?: number;
  /** The file has changed, and is valid. */
  readonly changed: (users: readonly User[]) => void;
  /**
   * The file has changed, and is invalid or gone; reported once. The report names the file and never contains
   * a hash.
   */
  readonly failed: (report: string) => void;
}

/** One fault, instead of one for each line. */
const UTF16: UsersFault = {
  line: 1,
  column: 1,
  message: 'this is UTF-16 text: save the file as UTF-8',
  excerpt: '',
  caret: 1,
};

/**
 * Reads the users file. Rejects with Node's error when it is unreadable, and with a UsersFileError when it is
 * writable by users other than its owner, who could let anyone in; faults of the text are in the result.
 */
export async function loadUsers(path: string): Promise<LoadedUsers> {
  await using file = await open(path, 'r');
  const stats = await file.stat({ bigint: true });
  const bytes = await file.readFile();
  // Windows has no such mode bits.
  const mode = process.platform === 'win32' ? 0 : Number(stats.mode);
  if ((mode & 0o022) !== 0)
    throw new UsersFileError(`${path}: users other than its owner can write it: chmod go-w ${path}`);
  const parsed = isUtf16(bytes) ? { users: [], faults: [UTF16] } : parseUsers(textOf(bytes));
  return { ...parsed, version: versionOf(stats), exposed: (mode & 0o004) !== 0 };
}

/**
 * Watches the users file until disposed of. Checks the path rather than a descriptor or a folder, and thus
 * handles replacement by rename, changed symbolic links and network file systems. Keeps no process alive.
 */
export function watchUsers(path: string, options: WatchUsersOptions): AsyncDisposable {
  const { interval = 500, changed, failed } = options;
  let loaded = options.version;
  let seen = loaded;
  let fault: string | undefined;
  let closed = false;
  let looking = Promise.resolve();

  const look = async (): Promise<void> => {
    const version = await stat(path, { bigint: true }).then(versionOf, (error: Error) => error.message);
    const settled = version === seen;
    seen = version;
    try {
      if (settled && version !== loaded) await load(version);
    } catch (error) {
      failed(`${path}: ${(error as Error).message}`);
    } finally {
      if (!closed) wait();
    }
  };
  const load = async (version: string): Promise<void> => {
    loaded = version;
    const file = await loadUsers(path).catch((error: Error) => error);
    if (closed) return;
    if (file instanceof Error) {
      // The cause may be temporary (no descriptor, no memory): retry, but report it once.
      loaded = '';
      if (file.message !== fault)
        failed(file instanceof UsersFileError ? file.message : `${path}: ${file.message}`);
      fault = file.message;
      return;
    }
    fault = undefined;
    loaded = file.version;
    if (file.faults.length > 0) return failed(formatFaults(path, file.faults));
    changed(file.users);
  };
  let timer: NodeJS.Timeout;
  const wait = (): void => {
    timer = setTimeout(() => {
      looking = look();
    }, interval).unref();
  };
  wait();
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      closed = true;
      clearTimeout(timer);
      await looking;
    },
  };
}

/**
 * Rewrites the users file atomically: a reader sees either the old text or the new one, even after a power
 * cut. The new text is written to `FILE.lock` beside it, which also keeps a second writer out (EEXIST). The
 * file keeps its owner and mode; a new one is readable by its owner only. A missing file is edited as an
 * empty one.
 */
export async function editUsers(path: string, edit: (text: string) => string): Promise<void> {
  // A symbolic link is kept: its target is rewritten.
  const target = await realpath(path).catch(unlessMissing(path));
  const draft = `${target}.lock`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await using _ = file;
    await using old = await open(target, 'r').catch(unlessMissing(undefined));
    const bytes = (await old?.readFile()) ?? new Uint8Array();
    if (isUtf16(bytes)) throw new Error(`${path} is UTF-16 text: save it as UTF-8`);
    if (!isUtf8(bytes)) throw new Error(`${path} is not UTF-8 text`);
    await file.writeFile(edit(textOf(bytes)));
    if (old !== undefined) await keepOwner(old, file);
    await file.sync();
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await using folder = await open(dirname(target), 'r');
  await folder.sync();
}

async function keepOwner(from: FileHandle, to: FileHandle): Promise<void> {
  const [old, now] = await Promise.all([from.stat(), to.stat()]);
  if (old.uid !== now.uid || old.gid !== now.gid) await to.chown(old.uid, old.gid);
  await to.chmod(old.mode & 0o7777);
}

function versionOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}

/** Turns ENOENT into a value; other errors are rethrown. */
function unlessMissing<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return value;
    throw error;
  };
}
