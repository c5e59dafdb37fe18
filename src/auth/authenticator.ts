import { createHmac, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { FairQueue } from '../limits/fair-queue.ts';
import { LruMap } from '../limits/lru-map.ts';
import type { Answer, PasswordBackEnd } from './back-end.ts';
import { BackOff } from './back-off.ts';
import { isOver } from './identity.ts';
import type { Authentication, Identity, PasswordVerdict } from './identity.ts';

export interface AuthenticatorOptions {
  readonly backOff?: BackOff;
  /** Shares out the checks at a time. @default as many as the back end allows, 64 in line */
  readonly queue?: FairQueue;
  /** Milliseconds since the epoch, for users that expire. @default Date.now */
  readonly now?: () => number;
  /** Milliseconds on a clock that never jumps. @default performance.now */
  readonly elapsed?: () => number;
  /** Lets so many milliseconds go by. @default a timer, which keeps no process alive */
  readonly wait?: (ms: number) => Promise<unknown>;
}

/** Checks that may wait for their turn. */
const LINE = 64;
/** Answers that are remembered. */
const REMEMBERED = 10_000;
/** The longest check is measured again when its time is needed and was not for so long. */
const STALE = 60_000;
/** The group in which that measurement waits its turn. */
const measurer = (): readonly string[] => ['measurement'];
/** Refusals that wait until the longest check would be over. */
const MAX_REFUSALS = 1024;

/** What the back end has said, or is being asked, since its users were last changed. */
interface Memory {
  readonly answers: LruMap<Identity | 'wrong'>;
  /** `undefined` when nobody has looked. */
  readonly pending: Map<string, Promise<Answer | undefined>>;
}

/**
 * Stands in front of a back end that checks passwords, whichever it is.
 *
 * An answer is remembered under an HMAC of name and password, and those who ask at the same time share one: a browser's hundred
 * connections cost one check, and a program that repeats one wrong password all day makes one guess.
 *
 * No name can be told from another by time: where checks differ in length, every refusal after one waits until the longest of all would
 * have been over, which is not made for that.
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
  /** Until the longest check's time is known. */
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
    const answer = await this.#ask(name, password, client);
    if (answer === undefined) return refused(this.#backOff.holds(name, client) ? 'back-off' : 'busy');
    if (answer === 'unavailable') return refused('busy');
    if (answer === 'wrong') return refused('wrong');
    if (isOver(answer, this.#now())) return refused('expired');
    this.#backOff.succeeded(name, client);
    return { ok: true, identity: answer };
  }

  /** Absent where the back end cannot tell. */
  get identities(): Authentication['identities'] {
    if (this.#backEnd.identify === undefined) return undefined;
    return (names) => Promise.all(names.map((name) => this.#identify(name)));
  }

  /** The users are others now: forgets every answer. Who has been guessing, or has logged in, is remembered. */
  usersChanged(): void {
    this.#memory = newMemory();
    this.#measureUnlessKnown();
  }

  /** Nobody waits for answers any more. */
  [Symbol.dispose](): void {
    this.#closing.abort();
  }

  async #identify(name: string): Promise<Identity | undefined> {
    const identity = await this.#backEnd.identify!(name);
    return identity === undefined || isOver(identity, this.#now()) ? undefined : identity;
  }

  async #ask(name: string, password: string, client: string): Promise<Answer | undefined> {
    const { answers, pending } = this.#memory;
    const key = this.#keyOf(name, password);
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

  /** One that asks the same meanwhile waits for this, too, so that what is remembered does not tell when it was found out. */
  async #askInTurn(name: string, password: string, client: string): Promise<Answer | undefined> {
    const groups = (): readonly string[] => this.#backOff.groups(client);
    const checked = await this.#queue.run(groups, async () => {
      // What failed while this one waited counts: a burst of guesses gets no more looks than guesses in turn.
      if (this.#backOff.holds(name, client) || this.#refusals >= MAX_REFUSALS) return undefined;
      const since = this.#elapsed();
      const answer = await this.#backEnd.verify(name, password, { client, signal: this.#closing.signal });
      if (answer === 'wrong') this.#backOff.failed(name, client);
      return { answer, since };
    });
    if (checked === undefined) return undefined;
    const { answer, since } = checked;
    const isRefused = typeof answer === 'string' ? answer === 'wrong' : isOver(answer, this.#now());
    if (isRefused) await this.#outlast(since);
    return answer;
  }

  /** Waits until the longest check would be over, begun at this time. */
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

  /** No client can bring that about more than once in a while. */
  async #measure(): Promise<void> {
    this.#measuredAt = this.#elapsed();
    const made = await this.#queue
      .run(measurer, async () => {
        await this.#backEnd.timing?.measure();
        return true;
      })
      .catch(() => undefined);
    // It found no place in the line, or broke: who needs it next has it made again.
    if (made === undefined) this.#measuredAt = -Infinity;
  }

  #keyOf(name: string, password: string): string {
    // As JSON, so that no two pairs make the same bytes.
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
