import type { RuleOptions } from '../policy/policy.ts';
import { Failure } from './failure.ts';
import type { Usage } from './quota-book.ts';
import type { Session } from './session.ts';

/** Milliseconds between two readings of the open sessions' counters. */
const READ = 1000;

/** Counts what sessions use of their users' quotas. Read every second: a session may exceed its quota by what it moves in one. */
export class Quotas implements Disposable {
  readonly #usage: Usage;
  /** Sessions that are counted, with the bytes that have been. */
  readonly #metered = new Map<Session, number>();
  #reader: NodeJS.Timeout | undefined;

  constructor(usage: Usage) {
    this.#usage = usage;
  }

  /** Counts a session from now on; throws the Failure of a user who has used up the quota. */
  begin(session: Session, rule: RuleOptions): void {
    if (rule.limit?.quotaPerUser === undefined) return;
    if (this.#left(session, rule) <= 0) throw Failure.limit('quota-per-user', session.phase);
    this.#metered.set(session, 0);
    this.#reader ??= setInterval(() => this.#readAll(), READ).unref();
  }

  /** Counts the rest of a session. */
  end(session: Session): void {
    if (!this.#metered.has(session)) return;
    this.#read(session);
    this.#metered.delete(session);
    if (this.#metered.size === 0) this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#reader);
    this.#reader = undefined;
  }

  #readAll(): void {
    for (const session of this.#metered.keys()) {
      this.#read(session);
      if (session.rule !== undefined && this.#left(session, session.rule) <= 0)
        session.stop(Failure.limit('quota-per-user', session.phase));
    }
  }

  #read(session: Session): void {
    const { sent, received } = session.counters;
    const bytes = sent + received - (this.#metered.get(session) ?? 0);
    if (bytes === 0) return;
    this.#metered.set(session, sent + received);
    this.#usage.add(session.rule?.name ?? '', userOf(session), bytes);
  }

  #left(session: Session, { name, limit }: RuleOptions): number {
    return (limit?.quotaPerUser ?? Infinity) - this.#usage.used(name, userOf(session));
  }
}

function userOf(session: Session): string {
  return session.identity?.user ?? '';
}
