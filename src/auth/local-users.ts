import { createHmac, randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Recent } from '../resolve/recent.ts';
import { Turns } from '../resolve/turns.ts';
import { COST, formatHash, hashPassword, parseHash, verifyPassword } from './argon2.ts';
import type { Authenticator, Identity, Member, PasswordVerdict } from './authenticator.ts';
import { BackOff } from './back-off.ts';
import { isExpired, nameFault, passwordFault } from './users-file.ts';
import type { User } from './users-file.ts';

export interface LocalUsersOptions {
  readonly backOff?: BackOff;
  /** Holds the hashing to what the machine can do at a time. @default one per core, 64 in line */
  readonly turns?: Turns;
  /** Milliseconds since the epoch, for the last days of users. @default Date.now */
  readonly now?: () => number;
  /** Compares a PHC string with a password. @default Argon2id */
  readonly compare?: (hash: string, password: string) => Promise<boolean>;
  /** Outcomes remembered at most. @default 10_000 */
  readonly outcomes?: number;
}

/**
 * The users of the users file and of the environment.
 *
 * The outcome of a comparison is remembered under an HMAC of name, password and stored hash, and those who ask at the same
 * time share one: a browser's hundred connections cost one hash, and a program that repeats one wrong password all day makes
 * one guess. An unknown name costs the same hash as a known one.
 */
export class LocalUsers implements Authenticator {
  readonly #backOff: BackOff;
  readonly #turns: Turns;
  readonly #now: () => number;
  readonly #compare: (hash: string, password: string) => Promise<boolean>;
  readonly #key = randomBytes(32);
  readonly #outcomes: Recent<boolean>;
  readonly #comparing = new Map<string, Promise<boolean | undefined>>();
  #users!: ReadonlyMap<string, User>;
  #hashes!: readonly string[];

  /** Of two users with one name the later counts. */
  constructor(users: readonly User[], options: LocalUsersOptions = {}) {
    this.#backOff = options.backOff ?? new BackOff();
    this.#turns = options.turns ?? new Turns({ running: onePerCore(), waiting: 64 });
    this.#now = options.now ?? Date.now;
    this.#compare = options.compare ?? verifyPassword;
    this.#outcomes = new Recent(options.outcomes ?? 10_000);
    this.reload(users);
  }

  /** Replaces all users and forgets every outcome. Back-off counts stay. */
  reload(users: readonly User[]): void {
    this.#users = new Map(users.map((user) => [user.name, user]));
    this.#hashes = [...this.#users.values()].map((user) => user.hash);
    this.#outcomes.clear();
  }

  /** Some user has a last day. */
  get timed(): boolean {
    return [...this.#users.values()].some(({ expires }) => expires !== undefined);
  }

  /** All of them, without their hashes. */
  members(): Member[] {
    return Array.from(this.#users.values(), ({ name, groups, expires }) => ({
      name,
      groups,
      ...(expires !== undefined && { expires }),
    }));
  }

  identity(username: string, time: number): Identity | undefined {
    return identityOf(this.#users.get(username), time);
  }

  async verify(username: string, password: string, address: string): Promise<PasswordVerdict> {
    if (this.#backOff.holds(username, address)) return { ok: false, reason: 'back-off' };
    const hash = this.#users.get(username)?.hash;
    const right = await this.#check(username, password, hash ?? this.#decoy(username), address);
    if (right === undefined) {
      return { ok: false, reason: this.#backOff.holds(username, address) ? 'back-off' : 'busy' };
    }
    if (!right || hash === undefined) return { ok: false, reason: 'wrong' };
    // A reload may have come between; what was compared is then no longer the user's hash.
    if (this.#users.get(username)?.hash !== hash) return { ok: false, reason: 'busy' };
    const identity = this.identity(username, this.#now());
    if (identity === undefined) return { ok: false, reason: 'expired' };
    this.#backOff.succeeded(username, address);
    return { ok: true, identity };
  }

  /** Whether the password is the one of the hash; `undefined` when nobody has looked. */
  async #check(
    username: string,
    password: string,
    hash: string,
    address: string,
  ): Promise<boolean | undefined> {
    const key = this.#hmac(username, password, hash);
    const outcome = this.#outcomes.get(key);
    if (outcome !== undefined) return outcome;
    const shared = this.#comparing.get(key);
    if (shared !== undefined) return shared;
    const asker = (): readonly string[] => this.#backOff.groups(address);
    const comparing = this.#turns.run(asker, async () => {
      // What failed while this one waited counts: a burst of guesses gets no more looks than guesses in turn.
      if (this.#backOff.holds(username, address)) return undefined;
      const right = await this.#compare(hash, password);
      this.#outcomes.set(key, right);
      if (!right) this.#backOff.failed(username, address);
      return right;
    });
    this.#comparing.set(key, comparing);
    try {
      return await comparing;
    } finally {
      this.#comparing.delete(key);
    }
  }

  /** A hash that no password has, for an unknown name. It costs what the hashes of the known names cost, always the same for one name. */
  #decoy(username: string): string {
    const pick = Buffer.from(this.#hmac(username), 'base64');
    const like = this.#hashes[pick.readUInt32LE(0) % this.#hashes.length];
    const cost = like === undefined ? undefined : parseHash(like);
    return formatHash({ ...(typeof cost === 'object' ? cost : COST), salt: pick.subarray(0, 16), tag: pick });
  }

  #hmac(...texts: readonly string[]): string {
    // As JSON, so that no two lists of texts make the same bytes.
    return createHmac('sha256', this.#key).update(JSON.stringify(texts)).digest('base64');
  }
}

/** Who this is; nobody once removed or expired. */
export function identityOf(member: Member | undefined, time: number): Identity | undefined {
  if (member === undefined || isExpired(member, time)) return undefined;
  return { user: member.name, groups: member.groups };
}

/** A user whose password is known in clear, GARTER_PASSWORD for one; only its hash is kept. Rejects with a RangeError. */
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
