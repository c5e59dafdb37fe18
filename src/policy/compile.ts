import { AddressSet } from './addresses.ts';
import { Nat64 } from './nat64.ts';
import type { PolicyOptions } from './policy.ts';
import { AcceptRule, Rule } from './rule.ts';
import { specialRanges } from './sets.ts';

/** Compiled rules. A reload creates a new policy. */
export interface Policy {
  /** `undefined` when the configuration has no `accept`. */
  readonly acceptRules: readonly AcceptRule[] | undefined;
  readonly rules: readonly Rule[];
  /** The special addresses, except those of this machine. */
  readonly special: AddressSet;
  readonly nat64: Nat64;
  /** Some rule has a `when`: decisions can change with time alone. */
  readonly timed: boolean;
}

/**
 * Throws a TypeError for an invalid condition and a RangeError for an unknown time zone; config/ has already
 * reported both.
 */
export function compile(options: PolicyOptions): Policy {
  const special = AddressSet.of(specialRanges());
  return {
    acceptRules: options.accept?.map((rule) => new AcceptRule(rule)),
    rules: options.rules.map((rule) => new Rule(rule, special)),
    special,
    nat64: new Nat64(options.nat64),
    timed: options.rules.some((rule) => rule.when !== undefined),
  };
}
