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

/** The compiled `from` of a rule. A client's address is itself, whatever might be inside it. */
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
  /** There are conditions that only an address can meet. */
  readonly needsAddress: boolean;
  readonly #names: NameSet;
  readonly #addresses: Addresses;
  /** The special addresses that an allowing rule names; a denying rule need not name them. */
  readonly #named: AddressSet | undefined;

  /** `special`: the addresses that have to be named. */
  constructor(conditions: readonly Condition[], special: AddressSet | undefined) {
    const names = conditions.filter((condition) => condition.type === 'name').map(({ name }) => name);
    this.needsAddress = names.length < conditions.length;
    this.#names = new NameSet(names);
    this.#addresses = new Addresses(conditions);
    this.#named = special && AddressSet.of(namedRanges(conditions, special));
  }

  /** `any` is among the conditions. */
  get any(): boolean {
    return this.#addresses.any;
  }

  /** For a name whose addresses are not known: there `any` matches too. */
  hasName(name: string): boolean {
    return this.any || this.#names.has(name);
  }

  /**
   * For a name that somebody else resolves: nobody here knows its addresses, but those of `localhost`, which are loopback
   * there. An allowing rule means this machine's by `loopback`, and no loopback by `any`: it must name it.
   */
  hasPassedOn(name: string): boolean {
    if (!isLocalhost(name)) return this.hasName(name);
    if (this.#names.has(name)) return true;
    return this.#named === undefined && LOCALHOST.some((judged) => this.#denies(judged));
  }

  /** For an address, and the name that it was found by. */
  has(name: string | undefined, judged: Classified): boolean {
    const isNamed = name !== undefined && this.#names.has(name);
    return this.#named === undefined
      ? isNamed || this.#denies(judged)
      : this.#allows(judged, isNamed, this.#named);
  }

  /** A denial holds for an address and for what it leads to. */
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
    // What it is translated to, if at all, is not known here: no network names it.
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

/** What conditions say of addresses. */
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

/** What names special addresses: their set, a CIDR inside it, or a single address; `private` and a CIDR around them do not. */
function namedRanges(conditions: readonly Condition[], special: AddressSet): readonly AddressRange[] {
  return conditions.flatMap((condition) => {
    const ranges = rangesIn(condition);
    if (condition.type === 'set') return condition.set === 'private' ? [] : ranges;
    return ranges.filter((range) => special.covers(range) || sameIp(range.first, range.last));
  });
}
