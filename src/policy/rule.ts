import type { Ip } from '../wire/ip.ts';
import type { AddressSet } from './addresses.ts';
import type { SourceMatcher } from './matchers.ts';
import type { AcceptRuleOptions, RuleOptions, LocalAddresses } from './policy.ts';
import { RequestConditions, sourcesOf } from './request-conditions.ts';

/** A compiled rule for requests: conditions and consequences. */
export class Rule extends RequestConditions {
  declare readonly options: RuleOptions;

  /** A denying rule applies to everything it matches; an allowing rule must name special addresses. */
  constructor(options: RuleOptions, special: AddressSet) {
    super(options, options.action === 'allow' ? special : undefined);
  }
}

/** A compiled rule for connections. */
export class AcceptRule {
  readonly options: AcceptRuleOptions;
  readonly #from: SourceMatcher | undefined;

  constructor(options: AcceptRuleOptions) {
    this.options = options;
    this.#from = options.from && sourcesOf(options, options.from);
  }

  isFor(client: Ip, listener: string, surroundings: LocalAddresses): boolean {
    return (
      this.options.listener?.includes(listener) !== false &&
      (this.#from === undefined || this.#from.has(client, surroundings))
    );
  }
}
