import type { Phase } from '../../audit/record.ts';
import type { RuleOptions } from '../../policy/policy.ts';
import { Failure } from '../failure.ts';
import type { Usage } from './quota-store.ts';

/** Milliseconds between two readings of the open sessions' counters. */
const SAMPLE_INTERVAL = 1000;

/** A unit that counts towards a quota: a session, or an association's traffic under one rule. */
export interface Metered {
  readonly identity: { readonly user: string } | undefined;
  readonly phase: Phase;
  readonly counters: { readonly sent: number; readonly received: number };
  stop(failure: Failure): void;
}

/** The rule by which it is counted, and the bytes counted so far. */
interface Reading {
  readonly rule: RuleOptions;
  bytes: number;
}

/**
 * Counts sessions towards their users' quotas. Counters are read every second: a session can exceed its quota
 * by one second's traffic.
 */
export class Quotas implements Disposable {
  readonly #usage: Usage;
  readonly #metered = new Map<Metered, Reading>();
  #reader: NodeJS.Timeout | undefined;

  constructor(usage: Usage) {
    this.#usage = usage;
  }

  /** Counts a session under this rule from now on; throws a Failure if the user's quota is used up. */
  begin(metered: Metered, rule: RuleOptions): void {
    this.end(metered);
    if (rule.limit?.quotaPerUser === undefined) return;
    if (this.#left(metered, rule) <= 0) throw Failure.limit('quota-per-user', metered.phase);
    this.#metered.set(metered, { rule, bytes: 0 });
    this.#reader ??= setInterval(() => this.#readAll(), SAMPLE_INTERVAL).unref();
  }

  /** Counts the remaining bytes of a session, then stops. */
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
