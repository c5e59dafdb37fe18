import type { Phase } from '../../audit/record.ts';
import type { RuleOptions } from '../../policy/policy.ts';
import { Failure } from '../failure.ts';
import type { Usage } from './quota-store.ts';

/** Milliseconds between two readings of the open sessions' counters. */
const SAMPLE_INTERVAL = 1000;

/** What counts for a quota: a session, or what an association uses of one rule. */
export interface Metered {
  readonly identity: { readonly user: string } | undefined;
  readonly phase: Phase;
  readonly counters: { readonly sent: number; readonly received: number };
  stop(failure: Failure): void;
}

/** By which rule it is counted, and the bytes that have been. */
interface Reading {
  readonly rule: RuleOptions;
  bytes: number;
}

/** Counts what sessions use of their users' quotas. Read every second: a session may exceed its quota by what it moves in one. */
export class Quotas implements Disposable {
  readonly #usage: Usage;
  readonly #metered = new Map<Metered, Reading>();
  #reader: NodeJS.Timeout | undefined;

  constructor(usage: Usage) {
    this.#usage = usage;
  }

  /** Counts a session by this rule from now on; throws the Failure of a user who has used up the quota. */
  begin(metered: Metered, rule: RuleOptions): void {
    this.end(metered);
    if (rule.limit?.quotaPerUser === undefined) return;
    if (this.#left(metered, rule) <= 0) throw Failure.limit('quota-per-user', metered.phase);
    this.#metered.set(metered, { rule, bytes: 0 });
    this.#reader ??= setInterval(() => this.#readAll(), SAMPLE_INTERVAL).unref();
  }

  /** Counts the rest of a session. */
  end(metered: Metered): void {
    const reading = this.#metered.get(metered);
    if (reading === undefined) return;
    this.#read(metered, reading);
    this.#metered.delete(metered);
    if (this.#metered.size === 0) this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#reader);
    this.#reader = undefined;
  }

  #readAll(): void {
    for (const [metered, reading] of this.#metered) {
      this.#read(metered, reading);
      if (this.#left(metered, reading.rule) <= 0)
        metered.stop(Failure.limit('quota-per-user', metered.phase));
    }
  }

  #read(metered: Metered, reading: Reading): void {
    const { sent, received } = metered.counters;
    const bytes = sent + received - reading.bytes;
    if (bytes === 0) return;
    reading.bytes += bytes;
    this.#usage.add(reading.rule.name, userOf(metered), bytes);
  }

  #left(metered: Metered, { name, limit }: RuleOptions): number {
    return (limit?.quotaPerUser ?? Infinity) - this.#usage.used(name, userOf(metered));
  }
}

function userOf({ identity }: Metered): string {
  return identity?.user ?? '';
}
