import { createHmac, randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { formatHash, hashPassword, verifyPassword } from './argon2.ts';
import type { BackEndAnswer, Attempt, PasswordBackEnd, Timing } from './back-end.ts';
import { Costs } from './costs.ts';
import type { Identity } from './identity.ts';
import { endOf, nameFault, passwordFault } from './users-file.ts';
import type { Member, User } from './users-file.ts';

/** The sources of users: a file made by `garter user`, a single user from the environment, or both. */
export interface UsersSettings {
  readonly file?: string;
  readonly single?: { readonly username: string; readonly password: string };
}

export interface LocalUsersOptions {
  /** Compares a PHC string with a password. @default Argon2id */
  readonly compare?: (hash: string, password: string) => Promise<boolean>;
  /** Milliseconds of a monotonic clock. @default performance.now */
  readonly elapsed?: () => number;
}

/**
 * The users of the users file and of the environment. An unknown name costs as much as the most common hash;
 * the longest check is that of the most expensive hash.
 */
export class LocalUsers implements PasswordBackEnd {
  readonly concurrency: number = onePerCore();
  readonly #compare: (hash: string, password: string) => Promise<boolean>;
  readonly #elapsed: () => number;
  readonly #key = randomBytes(32);
  #users!: ReadonlyMap<string, User>;
  #costs!: Costs;

  /** If two users have the same name, the later one counts. */
  constructor(users: readonly User[], { compare = verifyPassword, elapsed }: LocalUsersOptions = {}) {
    this.#compare = compare;
    this.#elapsed = elapsed ?? ((): number => performance.now());
    this.reload(users);
  }

  get count(): number {
    return this.#users.size;
  }

  get timing(): Timing {
    const { dearest, differ, time } = this.#costs;
    const measure = (): Promise<unknown> => {
      const hash = formatHash({ ...dearest, salt: randomBytes(16), tag: randomBytes(32) });
      return this.#compareTimed(hash, '');
    };
    return { longest: time, isUneven: differ, measure };
  }

  /** Replaces all users. */
  reload(users: readonly User[]): void {
    this.#users = new Map(users.map((user) => [user.name, user]));
    const hashes = Array.from(this.#users.values(), (user) => user.hash);
    this.#costs = new Costs(hashes, this.#costs);
  }

  async verify(name: string, password: string, { signal }: Attempt): Promise<BackEndAnswer> {
    if (signal.aborted) return 'unavailable';
    const hash = this.#users.get(name)?.hash;
    const right = await this.#compareTimed(hash ?? this.#decoy(name), password);
    if (!right || hash === undefined) return 'wrong';
    const user = this.#users.get(name);
    // After a reload in between, the compared hash may no longer be the user's.
    if (user?.hash !== hash) return 'unavailable';
    return user.disabled === true ? 'disabled' : identityOf(user);
  }

  find(name: string): Member | undefined {
    return this.#users.get(name);
  }

  async identify(name: string): Promise<Identity | undefined> {
    const user = this.#users.get(name);
    return user === undefined || user.disabled === true ? undefined : identityOf(user);
  }

  async #compareTimed(hash: string, password: string): Promise<boolean> {
    const since = this.#elapsed();
    const right = await this.#compare(hash, password);
    this.#costs.took(hash, this.#elapsed() - since);
    return right;
  }

  /** A hash that matches no password, for an unknown name; always the same for the same name. */
  #decoy(name: string): string {
    const tag = createHmac('sha256', this.#key).update(name).digest();
    return formatHash({ ...this.#costs.common, salt: tag.subarray(0, 16), tag });
  }
}

function identityOf({ name, groups, expires }: User): Identity {
  return { user: name, groups, ...(expires !== undefined && { expires: endOf(expires) }) };
}

/**
 * A user with a plain-text password, for example from GARTER_PASSWORD; only the hash is kept. Rejects with a
 * RangeError.
 */
export async function plainUser(name: string, password: string): Promise<User> {
  const ofName = nameFault(name);
  if (ofName !== undefined) throw new RangeError(`the name ${ofName}`);
  const ofPassword = passwordFault(password);
  if (ofPassword !== undefined) throw new RangeError(`the password ${ofPassword}`);
  return { name, hash: await hashPassword(password), groups: [] };
}

/** One thread of libuv's pool (4, or UV_THREADPOOL_SIZE) stays free for files. */
function onePerCore(): number {
  const pool = Number(process.env['UV_THREADPOOL_SIZE']) || 4;
  return Math.max(1, Math.min(availableParallelism(), pool - 1));
}
