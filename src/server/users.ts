import { Authenticator } from '../auth/authenticator.ts';
import type { Authentication } from '../auth/identity.ts';
import { LocalUsers, plainUser } from '../auth/local-users.ts';
import type { UsersSettings } from '../auth/local-users.ts';
import { loadUsers, UsersFileError, watchUsers } from '../auth/users-disk.ts';
import { formatFaults } from '../auth/users-file.ts';
import type { Member, User } from '../auth/users-file.ts';

/** The users of the settings, read and hashed, but not in force yet. */
export interface ReadUsers {
  /** The single user of the settings. */
  readonly own: readonly User[];
  readonly file?: {
    readonly path: string;
    readonly version: string;
    readonly users: readonly User[];
    /** The hashes are readable by everyone on this machine. */
    readonly exposed: boolean;
  };
}

/** Rejects with a UsersFileError, or with Node's error when the file cannot be read. */
export async function readUsers({ file, single }: UsersSettings): Promise<ReadUsers> {
  const own = single === undefined ? [] : [await plainUser(single.username, single.password)];
  if (file === undefined) return { own };
  const { users, faults, version, exposed } = await loadUsers(file);
  if (faults.length > 0) throw new UsersFileError(formatFaults(file, faults));
  return { own, file: { path: file, version, users, exposed } };
}

/** The local users in force: those of the settings, updated when their file changes. */
export class Users implements AsyncDisposable {
  #local: LocalUsers | undefined;
  #authenticator: Authenticator | undefined;
  #watch: AsyncDisposable | undefined;
  readonly #changed: () => void;
  readonly #failed: (report: string) => void;

  /**
   * `changed` is called after the file has changed and its users are in force; `failed` when it has become
   * unreadable.
   */
  constructor(changed: () => void, failed: (report: string) => void) {
    this.#changed = changed;
    this.#failed = failed;
  }

  /** The number of users; `undefined` where the configuration has none. */
  get count(): number | undefined {
    return this.#local?.count;
  }

  get authenticator(): Authentication | undefined {
    return this.#authenticator;
  }

  /** The user of that name, even if expired. */
  find(name: string): Member | undefined {
    return this.#local?.find(name);
  }

  /** Replaces the users. Back-off counts outlive this. */
  async use(read: ReadUsers | undefined): Promise<void> {
    await this.#watch?.[Symbol.asyncDispose]();
    this.#watch = undefined;
    if (read === undefined) {
      this.#authenticator?.[Symbol.dispose]();
      this.#authenticator = undefined;
      this.#local = undefined;
      return;
    }
    const { own, file } = read;
    this.#replace([...(file?.users ?? []), ...own]);
    if (file === undefined) return;
    this.#watch = watchUsers(file.path, {
      version: file.version,
      changed: (now) => {
        this.#replace([...now, ...own]);
        this.#changed();
      },
      failed: this.#failed,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#authenticator?.[Symbol.dispose]();
    await this.#watch?.[Symbol.asyncDispose]();
  }

  #replace(users: readonly User[]): void {
    if (this.#local === undefined) {
      this.#local = new LocalUsers(users);
      this.#authenticator = new Authenticator(this.#local);
    } else {
      this.#local.reload(users);
      this.#authenticator?.usersChanged();
    }
  }
}
