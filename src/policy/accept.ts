import { unmapped } from '../wire/ip.ts';
import type { Policy } from './compile.ts';
import type { AcceptRuleOptions, Facts, LocalAddresses } from './policy.ts';

/** Whether a connection is accepted, and the rule that decided; absent when none matched. */
export interface Admission {
  readonly allow: boolean;
  readonly rule?: AcceptRuleOptions;
}

/**
 * Decides before any byte is read: the first match wins, no match = closed, no accept rules at all = open to
 * all.
 */
export function accept(
  policy: Policy,
  { client, listener }: Pick<Facts, 'client' | 'listener'>,
  surroundings: LocalAddresses,
): Admission {
  if (policy.acceptRules === undefined) return { allow: true };
  const judged = unmapped(client);
  const rule = policy.acceptRules.find((candidate) =>
    candidate.isFor(judged, listener, surroundings),
  )?.options;
  return rule === undefined ? { allow: false } : { allow: rule.allow, rule };
}
