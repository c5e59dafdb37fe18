import { createHmac, randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { LruMap } from '../limits/lru-map.ts';
import { FairQueue } from '../limits/fair-queue.ts';
import { formatHash, hashPassword, verifyPassword } from './argon2.ts';
import type { Authenticator, Identity, Member, PasswordVerdict } from './authenticator.ts';
import { BackOff } from './back-off.ts';
import { Costs } from './costs.ts';
import { isExpired, nameFault, passwordFault } from './users-file.ts';
import type { User } from './users-file.ts';

export interface LocalUsersOptions {
  readonly backOff?: BackOff;
  /** Holds the hashing to what the machine can do at a time. @default one per core, 64 in line */
  readonly turns?: FairQueue;
  /** Milliseconds since the epoch, for the last days of users. @default Date.now */
  readonly now?: () => number;
  /** Compares a PHC string with a password. @default Argon2id */
  readonly compare?: (hash: string, password: string) => Promise<boolean>;
  /** Milliseconds on a clock that never jumps. @default performance.now */
  readonly elapsed?: () => number;
  /** Lets so many milliseconds go by. @default a timer, which keeps no process alive */
  readonly wait?: (ms: number) => Promise<unknown>;
  /** Outcomes remembered at most. @default 10_000 */
  readonly outcomes?: number;
}

/** The time of the dearest hash is measured again when it is needed and was not for so long. */
const STALE = 60_000;
/** The group in which the measurement of the dearest hash waits its turn. */
const measurer = (): readonly string[] => ['measurement'];
/** Refusals that wait until the dearest hash would be made. */
const MOST_REFUSALS = 1024;

/**
 * The users of the users file and of the environment.
 *
 * The outcome of a comparison is remembered under an HMAC of name, password and stored hash, and those who ask at the same
 * time share one: a browser's hundred connections cost one hash, and a program that repeats one wrong password all day makes
 * one guess.
 *
 * No name can be told from another by time. An unknown one costs the hash that most known ones cost, and every refusal after a comparison
 * waits until the dearest hash of all would have been made, which is not made for that.
 */
export class LocalUsers implements Authenticator {
  readonly #backOff: BackOff;
  readonly #turns: FairQueue;
  readonly #now: () => number;
  readonly #compare: (hash: string, password: string) => Promise<boolean>;
  readonly #key = randomBytes(32);
  readonly #outcomes: LruMap<boolean>;
  readonly #comparing = new Map<string, Promise<boolean | undefined>>();
  readonly #elapsed: () => number;
  readonly #wait: (ms: number) => Promise<unknown>;
  #users!: ReadonlyMap<string, User>;
  #costs!: Costs;
  #measured = -Infinity;
  /** Until the time of the dearest hash is known. */
  #measuring: Promise<void> | undefined;
  #refusals = 0;

  /** Of two users with one name the later counts. */
  constructor(users: readonly User[], options: LocalUsersOptions = {}) {
    this.#backOff = options.backOff ?? new BackOff();
    this.#turns = options.turns ?? new FairQueue({ running: onePerCore(), waiting: 64 });
    this.#now = options.now ?? Date.now;
    this.#compare = options.compare ?? verifyPassword;
    this.#elapsed = options.elapsed ?? ((): number => performance.now());
    this.#wait = options.wait ?? ((ms): Promise<unknown> => delay(ms, undefined, { ref: false }));
    this.#outcomes = new LruMap(options.outcomes ?? 10_000);
    this.reload(users);
  }

  /** Replaces all users and forgets every outcome. Back-off counts stay. */
  reload(users: readonly User[]): void {
    this.#users = new Map(users.map((user) => [user.name, user]));
    const hashes = Array.from(this.#users.values(), (user) => user.hash);
    this.#costs = new Costs(hashes, this.#costs);
    this.#outcomes.clear();
    if (this.#costs.differ && this.#costs.time === undefined) this.#measuring = this.#measure();
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

  /** Makes the dearest hash, for its time. No client can bring that about more than once in a while. */
  async #measure(): Promise<void> {
    this.#measured = this.#elapsed();
    const hash = formatHash({ ...this.#costs.dearest, salt: randomBytes(16), tag: randomBytes(32) });
    const made = await this.#turns.run(measurer, () => this.#timed(hash, '')).catch(() => undefined);
    // It found no place in the line, or broke: who needs it next has it made again.
    if (made === undefined) this.#measured = -Infinity;
  }

  async #timed(hash: string, password: string): Promise<boolean> {
    const since = this.#elapsed();
    const right = await this.#compare(hash, password);
    this.#costs.took(hash, this.#elapsed() - since);
    return right;
  }

  /** Waits until the dearest hash would have been made, begun at this time. */
  async #outlast(since: number): Promise<void> {
    this.#refusals++;
    if (this.#costs.differ && this.#elapsed() - this.#measured > STALE) this.#measuring = this.#measure();
    if (this.#costs.time === undefined) await this.#measuring;
    const left = since + (this.#costs.time ?? 0) - this.#elapsed();
    if (left > 0) await this.#wait(Math.ceil(left));
    this.#refusals--;
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
    const comparing = this.#inTurn(username, password, hash, address).then((right) => {
      if (right !== undefined) this.#outcomes.set(key, right);
      return right;
    });
    this.#comparing.set(key, comparing);
    try {
      return await comparing;
    } finally {
      this.#comparing.delete(key);
    }
  }

  /** One that asks the same meanwhile waits for this, too, so that what is remembered does not tell when it was found out. */
  async #inTurn(
    username: string,
    password: string,
    hash: string,
    address: string,
  ): Promise<boolean | undefined> {
    const groups = (): readonly string[] => this.#backOff.groups(address);
    const outcome = await this.#turns.run(groups, async () => {
      // What failed while this one waited counts: a burst of guesses gets no more looks than guesses in turn.
      if (this.#backOff.holds(username, address) || this.#refusals >= MOST_REFUSALS) return undefined;
      const since = this.#elapsed();
      const right = await this.#timed(hash, password);
      if (!right) this.#backOff.failed(username, address);
      return { right, since };
    });
    if (outcome === undefined) return undefined;
    const { right, since } = outcome;
    if (!right || this.identity(username, this.#now()) === undefined) await this.#outlast(since);
    return right;
  }

  /** A hash that no password has, for an unknown name; always the same for one name. */
  #decoy(username: string): string {
    const tag = Buffer.from(this.#hmac(username), 'base64');
    return formatHash({ ...this.#costs.common, salt: tag.subarray(0, 16), tag });
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
