import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { Log } from '../../audit/log.ts';
import { NONE } from '../change.ts';
import type { Change } from '../change.ts';
import { codeOf } from '../../wire/error-code.ts';

/** Milliseconds between two saves. */
const SAVE_INTERVAL = 10_000;

const DAY = 86_400_000;

/** The contents of the state file: bytes by rule and user, for one day. */
interface State {
  readonly day: string;
  readonly quotas: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** The users' consumption of their quotas today. Sessions without a user count together, as user ''. */
export interface Usage {
  /** Bytes. */
  used(rule: string, user: string): number;
  add(rule: string, user: string, bytes: number): void;
}

/** The bytes of each user in a day (UTC), by rule, kept in a file. A crash loses ten seconds at most. */
export class QuotaStore implements Usage {
  readonly #log: Log;
  readonly #now: () => number;
  #file: string | undefined;
  #day = '';
  #used = new Map<string, Map<string, number>>();
  #dirty = false;
  #saver: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();
  #fault: string | undefined;

  /** `now`: milliseconds since the epoch. */
  constructor(log: Log, now: () => number = Date.now) {
    this.#log = log;
    this.#now = now;
  }

  /**
   * Reads the file, whose counts will continue, and writes it to prove that it is writable. Rejects with
   * Node's error.
   */
  async prepare(file: string | undefined): Promise<Change> {
    if (file === this.#file) return NONE;
    // Unsaved counts belong to the old file.
    await this.#save();
    const loaded = file === undefined ? undefined : await load(file);
    const state = typeof loaded === 'object' ? loaded : undefined;
    this.#today();
    if (file !== undefined) await save(file, state ?? this.#state());
    const commit = async (): Promise<void> => {
      if (loaded === 'damaged') this.#log.error('quotas-lost', { file });
      if (state !== undefined) this.#restore(state);
      this.#today();
      this.#file = file;
    };
    return { commit, abort: NONE.abort };
  }

  /** The day that is being counted, as YYYY-MM-DD. */
  get day(): string {
    this.#today();
    return this.#day;
  }

  used(rule: string, user: string): number {
    this.#today();
    return this.#used.get(rule)?.get(user) ?? 0;
  }

  add(rule: string, user: string, bytes: number): void {
    this.#today();
    const users = this.#used.get(rule) ?? new Map<string, number>();
    this.#used.set(rule, users);
    users.set(user, (users.get(user) ?? 0) + bytes);
    this.#dirty = true;
    this.#saver ??= setInterval(() => void this.#save(), SAVE_INTERVAL).unref();
  }

  *[Symbol.iterator](): Generator<[rule: string, user: string, bytes: number]> {
    this.#today();
    for (const [rule, users] of this.#used) for (const [user, bytes] of users) yield [rule, user, bytes];
  }

  async close(): Promise<void> {
    clearInterval(this.#saver);
    await this.#save();
  }

  /**
   * A new day clears the counts. A clock that is set back by less than a day does not return to the old day.
   */
  #today(): void {
    const day = dayOf(this.#now());
    if (day === this.#day || dayOf(this.#now() + DAY) === this.#day) return;
    this.#day = day;
    this.#used = new Map();
    this.#dirty = true;
  }

  #state(): State {
    return {
      day: this.#day,
      quotas: Object.fromEntries([...this.#used].map(([rule, users]) => [rule, Object.fromEntries(users)])),
    };
  }

  #restore({ day, quotas }: State): void {
    this.#day = day;
    this.#used = new Map(
      Object.entries(quotas).map(([rule, users]) => [rule, new Map(Object.entries(users))]),
    );
  }

  #save(): Promise<void> {
    this.#saving = this.#saveAfter(this.#saving);
    return this.#saving;
  }

  /** A file that cannot be written is reported once, and retried. */
  async #saveAfter(last: Promise<void>): Promise<void> {
    await last;
    if (!this.#dirty || this.#file === undefined) return;
    this.#dirty = false;
    try {
      await save(this.#file, this.#state());
      if (this.#fault !== undefined) this.#log.info('quotas-saved', { file: this.#file });
      this.#fault = undefined;
    } catch (error) {
      this.#dirty = true;
      const fault = codeOf(error) ?? String(error);
      if (fault !== this.#fault) this.#log.error('quotas-unsaved', { file: this.#file, code: fault });
      this.#fault = fault;
    }
  }
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

async function load(file: string): Promise<State | 'damaged' | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const state: unknown = JSON.parse(text);
    return isState(state) ? state : 'damaged';
  } catch {
    return 'damaged';
  }
}

/**
 * Atomic: after a crash, the old file is still there. An existing draft is removed, not written to: it may be
 * a link.
 */
async function save(file: string, state: State): Promise<void> {
  const draft = `${file}.new`;
  await rm(draft, { force: true });
  await writeFile(draft, `${JSON.stringify(state)}\n`, { flag: 'wx', mode: 0o600, flush: true });
  await rename(draft, file);
}

function isState(state: unknown): state is State {
  if (typeof state !== 'object' || state === null || !('day' in state) || !('quotas' in state)) return false;
  const { day, quotas } = state;
  return (
    typeof day === 'string' &&
    /^\d{4}-\d\d-\d\d$/.test(day) &&
    isMap(quotas) &&
    Object.values(quotas).every(
      (users) => isMap(users) && Object.values(users).every((bytes) => Number.isFinite(bytes)),
    )
  );
}

function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
