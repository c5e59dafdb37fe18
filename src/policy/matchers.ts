import { sameIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { AddressSet } from './addresses.ts';
import type { AddressRange } from './addresses.ts';
import type { Condition } from './conditions.ts';
import { NameSet } from './names.ts';
import type { RuleOptions, Surroundings } from './policy.ts';
import { publicSet, rangesOf } from './sets.ts';

/** An address as rules judge it: the IPv4 address inside, where there is one. */
export interface Judged {
  readonly ip: Ip;
  /** An address of this machine. */
  readonly self: boolean;
  /** One that an allowing rule must name: loopback, link-local, metadata, multicast, unspecified, reserved or self. */
  readonly special: boolean;
}

/** The compiled `from` of a rule. */
export class SourceMatcher {
  readonly #sets: readonly AddressSet[];
  readonly #self: boolean;

  constructor(conditions: readonly Condition[]) {
    this.#sets = setsOf(conditions);
    this.#self = namesSet(conditions, 'self');
  }

  has(ip: Ip, surroundings: Surroundings): boolean {
    return this.#sets.some((set) => set.has(ip)) || (this.#self && surroundings.isSelf(ip));
  }
}

/** The compiled `to` of a rule. */
export class DestinationMatcher {
  /** `any` is among the conditions. */
  readonly any: boolean;
  /** There are conditions that only an address can meet. */
  readonly needsAddress: boolean;
  readonly #names: NameSet;
  readonly #sets: readonly AddressSet[];
  readonly #self: boolean;
  /** The special addresses that an allowing rule names; a denying rule need not name them. */
  readonly #named: AddressSet | undefined;

  constructor(conditions: readonly Condition[], action: RuleOptions['action'], special: AddressSet) {
    const names = conditions.filter((condition) => condition.type === 'name').map(({ name }) => name);
    this.any = namesSet(conditions, 'any');
    this.needsAddress = names.length < conditions.length;
    this.#names = new NameSet(names);
    this.#sets = setsOf(conditions);
    this.#self = namesSet(conditions, 'self');
    this.#named = action === 'allow' ? AddressSet.of(namedRanges(conditions, special)) : undefined;
  }

  /** For a name whose addresses are not known: there `any` matches too. */
  hasName(name: string): boolean {
    return this.any || this.#names.has(name);
  }

  /** For an address, and the name that it was found by. */
  has(name: string | undefined, { ip, self, special }: Judged): boolean {
    if (self && this.#self) return true;
    if (special && this.#named !== undefined) return this.#named.has(ip);
    return (name !== undefined && this.#names.has(name)) || this.#sets.some((set) => set.has(ip));
  }
}

function setsOf(conditions: readonly Condition[]): readonly AddressSet[] {
  const sets: AddressSet[] = [];
  const ranges: AddressRange[] = [];
  for (const condition of conditions) {
    if (condition.type === 'range') ranges.push(condition.range);
    else if (condition.type === 'set') {
      const { set } = condition;
      if (set === 'any') sets.push(AddressSet.except([]));
      else if (set === 'public') sets.push(publicSet());
      else if (set !== 'self') ranges.push(...rangesOf(set));
    }
  }
  if (ranges.length > 0) sets.push(AddressSet.of(ranges));
  return sets;
}

/** What names special addresses: their set, a CIDR inside it, or a single address; `private` and a CIDR around them do not. */
function namedRanges(conditions: readonly Condition[], special: AddressSet): AddressRange[] {
  return conditions.flatMap((condition) => {
    if (condition.type === 'name') return [];
    if (condition.type === 'range') {
      const { range } = condition;
      return special.covers(range) || sameIp(range.first, range.last) ? [range] : [];
    }
    const { set } = condition;
    return set === 'any' || set === 'public' || set === 'private' || set === 'self' ? [] : rangesOf(set);
  });
}

function namesSet(conditions: readonly Condition[], set: 'any' | 'self'): boolean {
  return conditions.some((condition) => condition.type === 'set' && condition.set === set);
}
