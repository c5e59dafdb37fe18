import { unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import type { Policy } from './compile.ts';
import type { AcceptRuleOptions, LocalAddresses } from './policy.ts';

/** Whether a connection is let in, and by which rule; none is named when none matched. */
export interface Admission {
  readonly allow: boolean;
  readonly rule?: AcceptRuleOptions;
}

/** Before any byte is read: the first match decides, nothing matches = closed, no accept rules at all = everybody. */
export function accept(policy: Policy, client: Ip, surroundings: LocalAddresses): Admission {
  if (policy.acceptRules === undefined) return { allow: true };
  const judged = unmapped(client);
  const rule = policy.acceptRules.find((candidate) => candidate.isFor(judged, surroundings))?.options;
  return rule === undefined ? { allow: false } : { allow: rule.allow, rule };
}
