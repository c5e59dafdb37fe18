import { createHmac, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { FairQueue } from '../limits/fair-queue.ts';
import { LruMap } from '../limits/lru-map.ts';
import type { BackEndAnswer, PasswordBackEnd } from './back-end.ts';
import { BackOff } from './back-off.ts';
import { isOver } from './identity.ts';
import type { Authentication, Identity, PasswordVerdict } from './identity.ts';

export interface AuthenticatorOptions {
  readonly backOff?: BackOff;
  /** Queues checks. @default the back end's concurrency, with 64 waiting */
  readonly queue?: FairQueue;
  /** Milliseconds since the epoch, for users that expire. @default Date.now */
  readonly now?: () => number;
  /** Milliseconds of a monotonic clock. @default performance.now */
  readonly elapsed?: () => number;
  /** Waits this many milliseconds. @default a timer that keeps no process alive */
  readonly wait?: (ms: number) => Promise<unknown>;
}

/** Checks that can wait for their turn. */
const LINE = 64;
/** Answers that are cached. */
const REMEMBERED = 10_000;
/**
 * Milliseconds after which the time of the longest check is stale, and is measured again when next required.
 */
const STALE = 60_000;
/** The queue's group for that measurement. */
const measurer = (): readonly string[] => ['measurement'];
/** Refusals that can be delayed at the same time. */
const MAX_REFUSALS = 1024;

/** The back end's answers and pending checks since its users last changed. */
interface Memory {
  readonly answers: LruMap<Exclude<BackEndAnswer, 'unavailable'>>;
  /** `undefined` when no check was made. */
  readonly pending: Map<string, Promise<BackEndAnswer | undefined>>;
}

/**
 * The common front of all back ends that check passwords.
 *
 * Answers are cached under an HMAC of name and password, and simultaneous attempts share one check: a
 * browser's hundred connections cost one check, and a program that repeats one wrong password all day makes
 * one guess.
 *
 * Timing does not reveal which names exist: where checks differ in duration, every refusal after a check is
 * delayed until the longest of all would have ended, without running that.
 */
export class Authenticator implements Authentication, Disposable {
  readonly #backEnd: PasswordBackEnd;
  readonly #backOff: BackOff;
  readonly #queue: FairQueue;
  readonly #now: () => number;
  readonly #elapsed: () => number;
  readonly #wait: (ms: number) => Promise<unknown>;
  readonly #key = randomBytes(32);
  readonly #closing = new AbortController();
  #memory = newMemory();
  #measuredAt = -Infinity;
  /** Until the time of the longest check is known. */
  #measuring: Promise<void> | undefined;
  #refusals = 0;

  constructor(backEnd: PasswordBackEnd, options: AuthenticatorOptions = {}) {
    this.#backEnd = backEnd;
    this.#backOff = options.backOff ?? new BackOff();
    this.#queue = options.queue ?? new FairQueue({ running: backEnd.concurrency, waiting: LINE });
    this.#now = options.now ?? Date.now;
    this.#elapsed = options.elapsed ?? ((): number => performance.now());
    this.#wait = options.wait ?? ((ms): Promise<unknown> => delay(ms, undefined, { ref: false }));
    this.#measureUnlessKnown();
  }

  async verify(name: string, password: string, client: string): Promise<PasswordVerdict> {
    if (this.#backOff.holds(name, client)) return refused('back-off');
    const memory = this.#memory;
    const key = this.#keyOf(name, password);
    const isRepeated = memory.answers.get(key) !== undefined || memory.pending.has(key);
    const answer = await this.#ask(key, name, password, client);
    if (answer === undefined) return refused(this.#backOff.holds(name, client) ? 'back-off' : 'busy');
    if (answer === 'unavailable') return refused('busy');
    if (answer === 'wrong') return refused(isRepeated ? 'wrong-again' : 'wrong');
    // The answer may describe the user as before the change.
    if (memory !== this.#memory) return this.verify(name, password, client);
    if (answer === 'disabled') return refused('disabled');
    if (isOver(answer, this.#now())) return refused('expired');
    this.#backOff.succeeded(name, client);
    return { ok: true, identity: answer };
  }

  /** Absent where the back end cannot identify users. */
  get identities(): Authentication['identities'] {
    if (this.#backEnd.identify === undefined) return undefined;
    return (names) => Promise.all(names.map((name) => this.#identify(name)));
  }

  /** The users have changed: clears all answers. Records of guessing and of logins are kept. */
  usersChanged(): void {
    this.#memory = newMemory();
    this.#measureUnlessKnown();
  }

  /** Answers are no longer awaited. */
  [Symbol.dispose](): void {
    this.#closing.abort();
  }

  async #identify(name: string): Promise<Identity | undefined> {
    const identity = await this.#backEnd.identify!(name);
    return identity === undefined || isOver(identity, this.#now()) ? undefined : identity;
  }

  async #ask(
    key: string,
    name: string,
    password: string,
    client: string,
  ): Promise<BackEndAnswer | undefined> {
    const { answers, pending } = this.#memory;
    const answer = answers.get(key);
    if (answer !== undefined) return answer;
    const shared = pending.get(key);
    if (shared !== undefined) return shared;
    const asking = this.#askInTurn(name, password, client).then((said) => {
      if (said !== undefined && said !== 'unavailable') answers.set(key, said);
      return said;
    });
    pending.set(key, asking);
    try {
      return await asking;
    } finally {
      pending.delete(key);
    }
  }

  /**
   * Identical attempts meanwhile also await this, delay included: otherwise a cached answer would reveal when
   * it was found.
   */
  async #askInTurn(name: string, password: string, client: string): Promise<BackEndAnswer | undefined> {
    const groups = (): readonly string[] => this.#backOff.groups(client);
    const checked = await this.#queue.run(groups, async () => {
      // Failures while this one waited count: a burst of guesses gets no more checks than guesses in
      // sequence.
      if (this.#backOff.holds(name, client) || this.#refusals >= MAX_REFUSALS) return undefined;
      const since = this.#elapsed();
      const answer = await this.#backEnd.verify(name, password, { client, signal: this.#closing.signal });
      if (answer === 'wrong') this.#backOff.failed(name, client);
      return { answer, since };
    });
    if (checked === undefined) return undefined;
    const { answer, since } = checked;
    const isRefused = typeof answer === 'string' ? answer !== 'unavailable' : isOver(answer, this.#now());
    if (isRefused) await this.#outlast(since);
    return answer;
  }

  /** Waits until the longest check, begun at `since`, would have ended. */
  async #outlast(since: number): Promise<void> {
    this.#refusals++;
    const { timing } = this.#backEnd;
    const isStale = timing?.isUneven === true && this.#elapsed() - this.#measuredAt > STALE;
    if (isStale) this.#measuring = this.#measure();
    if (timing?.longest === undefined) await this.#measuring;
    const left = since + (this.#backEnd.timing?.longest ?? 0) - this.#elapsed();
    if (left > 0) await this.#wait(Math.ceil(left));
    this.#refusals--;
  }

  #measureUnlessKnown(): void {
    const { timing } = this.#backEnd;
    if (timing?.isUneven === true && timing.longest === undefined) this.#measuring = this.#measure();
  }

  /** Clients cannot trigger this more than once per STALE. */
  async #measure(): Promise<void> {
    this.#measuredAt = this.#elapsed();
    const made = await this.#queue
      .run(measurer, async () => {
        await this.#backEnd.timing?.measure();
        return true;
      })
      .catch(() => undefined);
    // The queue was full, or the check failed: the next refusal measures again.
    if (made === undefined) this.#measuredAt = -Infinity;
  }

  #keyOf(name: string, password: string): string {
    // JSON, so that no two pairs yield the same bytes.
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([name, password]))
      .digest('base64');
  }
}

function newMemory(): Memory {
  return { answers: new LruMap(REMEMBERED), pending: new Map() };
}

function refused(reason: (PasswordVerdict & { ok: false })['reason']): PasswordVerdict {
  return { ok: false, reason };
}
