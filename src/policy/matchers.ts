import { parseIp, sameIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { AddressSet } from './addresses.ts';
import type { AddressRange } from './addresses.ts';
import { rangesIn } from './conditions.ts';
import type { Condition } from './conditions.ts';
import type { Classified } from './classify.ts';
import { NameSet, isLocalhost } from './names.ts';
import type { LocalAddresses } from './policy.ts';
import { publicSet } from './sets.ts';

/**
 * The compiled `from` of a rule. Client addresses are compared as they are: embedded IPv4 addresses are not
 * examined.
 */
export class SourceMatcher {
  readonly #addresses: Addresses;

  constructor(conditions: readonly Condition[]) {
    this.#addresses = new Addresses(conditions);
  }

  has(ip: Ip, surroundings: LocalAddresses): boolean {
    const { any, self } = this.#addresses;
    return (
      any ||
      this.#addresses.isPublic(ip) ||
      this.#addresses.isInRange(ip) ||
      (self && surroundings.isSelf(ip))
    );
  }
}

/** The compiled `to` of a rule. */
export class DestinationMatcher {
  /** Some conditions can only be met by an address. */
  readonly needsAddress: boolean;
  readonly #names: NameSet;
  readonly #addresses: Addresses;
  /**
   * The special addresses that an allowing rule names; undefined for a denying rule, which need not name
   * them.
   */
  readonly #named: AddressSet | undefined;

  /** `special`: the addresses that must be named. */
  constructor(conditions: readonly Condition[], special: AddressSet | undefined) {
    const names = conditions.filter((condition) => condition.type === 'name').map(({ name }) => name);
    this.needsAddress = names.length < conditions.length;
    this.#names = new NameSet(names);
    this.#addresses = new Addresses(conditions);
    this.#named = special && AddressSet.of(namedRanges(conditions, special));
  }

  /** Whether the conditions include `any`. */
  get any(): boolean {
    return this.#addresses.any;
  }

  /** For a name whose addresses are not known: `any` matches it too. */
  hasName(name: string): boolean {
    return this.any || this.#names.has(name);
  }

  /**
   * For a name resolved elsewhere: its addresses are unknown here, except for `localhost`, which is the
   * remote loopback. In an allowing rule, `loopback` means this machine's and `any` excludes loopback, so the
   * rule must name `localhost`.
   */
  hasPassedOn(name: string): boolean {
    if (!isLocalhost(name)) return this.hasName(name);
    if (this.#names.has(name)) return true;
    return this.#named === undefined && LOCALHOST.some((judged) => this.#denies(judged));
  }

  /** For an address, and the name that it was resolved from. */
  has(name: string | undefined, judged: Classified): boolean {
    const isNamed = name !== undefined && this.#names.has(name);
    return this.#named === undefined
      ? isNamed || this.#denies(judged)
      : this.#allows(judged, isNamed, this.#named);
  }

  /** A denial applies to an address and to the one it leads to. */
  #denies({ ip, inside, self, insideSelf }: Classified): boolean {
    const addresses = this.#addresses;
    return (
      addresses.any ||
      (addresses.self && (self || insideSelf)) ||
      addresses.isPublic(inside ?? ip) ||
      addresses.isInRange(ip) ||
      (inside !== undefined && addresses.isInRange(inside))
    );
  }

  #allows(
    { ip, inside, translated, self, insideSelf, special }: Classified,
    isNamed: boolean,
    named: AddressSet,
  ): boolean {
    const addresses = this.#addresses;
    if (addresses.self && (self || (translated && insideSelf))) return true;
    // Whether and where it is translated is not known here, so no network matches it.
    const meant = inside === undefined ? ip : translated ? inside : undefined;
    if (special) return meant !== undefined && named.has(meant);
    return (
      isNamed ||
      addresses.any ||
      addresses.isPublic(inside ?? ip) ||
      (meant !== undefined && addresses.isInRange(meant))
    );
  }
}

const LOCALHOST: readonly Classified[] = ['127.0.0.1', '::1'].map((text) => ({
  ip: parseIp(text)!,
  inside: undefined,
  translated: false,
  self: true,
  insideSelf: false,
  special: true,
}));

/** The address conditions of a rule. */
class Addresses {
  readonly any: boolean;
  readonly self: boolean;
  readonly #public: AddressSet | undefined;
  readonly #ranges: AddressSet | undefined;

  constructor(conditions: readonly Condition[]) {
    const sets = new Set(conditions.flatMap((one) => (one.type === 'set' ? [one.set] : [])));
    const ranges = conditions.flatMap(rangesIn);
    this.any = sets.has('any');
    this.self = sets.has('self');
    this.#public = sets.has('public') ? publicSet() : undefined;
    this.#ranges = ranges.length > 0 ? AddressSet.of(ranges) : undefined;
  }

  isPublic(ip: Ip): boolean {
    return this.#public?.has(ip) === true;
  }

  isInRange(ip: Ip): boolean {
    return this.#ranges?.has(ip) === true;
  }
}

/**
 * The ranges that name special addresses: their set, a CIDR inside it, or a single address; not `private`,
 * nor a CIDR that contains them.
 */
function namedRanges(conditions: readonly Condition[], special: AddressSet): readonly AddressRange[] {
  return conditions.flatMap((condition) => {
    const ranges = rangesIn(condition);
    if (condition.type === 'set') return condition.set === 'private' ? [] : ranges;
    return ranges.filter((range) => special.covers(range) || sameIp(range.first, range.last));
  });
}
