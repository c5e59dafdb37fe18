import { AddressSet, parseAddressRange } from '../../policy/addresses.ts';
import type { AddressRange } from '../../policy/addresses.ts';
import { parseCondition, rangesIn } from '../../policy/conditions.ts';
import type { Condition } from '../../policy/conditions.ts';
import { NameSet } from '../../policy/names.ts';
import type {
  AcceptRuleOptions,
  PortRange,
  RequestConditionOptions,
  RuleOptions,
  WhenOptions,
} from '../../policy/policy.ts';
import { publicSet, rangesOf, specialRanges } from '../../policy/sets.ts';
import type { SetName } from '../../policy/sets.ts';
import { sameIp } from '../../wire/ip.ts';

/**
 * An unreachable rule, and the earlier one that matches everything it would; both as positions in the list.
 */
export interface Unreachable {
  readonly rule: number;
  readonly by: number;
}

/** The unreachable accept rules. Rules covered only by several earlier ones together are not detected. */
export function unreachableAccepts(rules: readonly AcceptRuleOptions[]): Unreachable[] {
  const reaches = rules.map(({ listener, from }) => ({ listener, from: new Conditions(from) }));
  return findCovered(
    reaches,
    (earlier, later) =>
      covers(earlier.listener, later.listener) &&
      later.from.all.every((condition) => earlier.from.cover(condition)),
  );
}

/**
 * The unreachable rules. A required method does not narrow a rule. `nat64`: the prefixes of NAT64
 * translators. A rule that denies an IPv4 network after one that allows it counts as unreachable, although it
 * still denies addresses in 64:ff9b::/96 and 2002::/16 that lead there: the order is nearly always a mistake,
 * and those addresses can be named.
 */
export function unreachableRules(
  rules: readonly RuleOptions[],
  nat64: readonly AddressRange[] = [],
): Unreachable[] {
  const special = new Special(nat64);
  return findCovered(rules.map(reachOf), (a, b) => {
    const [earlier, later] = [a.options.action, b.options.action];
    return (
      coversFacts(a, b) &&
      b.to.all.every((condition) =>
        earlier === 'deny' ? a.to.cover(condition) : special.allowanceCovers(a.to, condition, later),
      )
    );
  });
}

/** The unreachable routes. */
export function unreachableRoutes(routes: readonly RequestConditionOptions[]): Unreachable[] {
  return findCovered(
    routes.map(reachOf),
    (a, b) => coversFacts(a, b) && b.to.all.every((condition) => a.to.cover(condition)),
  );
}

interface Reach<T extends RequestConditionOptions> {
  readonly options: T;
  readonly from: Conditions;
  readonly to: Conditions;
}

function reachOf<T extends RequestConditionOptions>(options: T): Reach<T> {
  return { options, from: new Conditions(options.from), to: new Conditions(options.to) };
}

/** Whether the first matches whenever the second does, apart from the destination's address or name. */
function coversFacts(a: Reach<RequestConditionOptions>, b: Reach<RequestConditionOptions>): boolean {
  const [wide, narrow] = [a.options, b.options];
  return (
    covers(wide.commands, narrow.commands) &&
    covers(wide.listener, narrow.listener) &&
    covers(wide.protocol, narrow.protocol) &&
    covers(wide.user, narrow.user) &&
    coversPorts(wide.port, narrow.port) &&
    coversPorts(wide.sourcePort, narrow.sourcePort) &&
    coversWindow(wide.when, narrow.when) &&
    b.from.all.every((condition) => a.from.cover(condition))
  );
}

function findCovered<T>(reaches: readonly T[], isCovered: (earlier: T, later: T) => boolean): Unreachable[] {
  return reaches.flatMap((later, rule) => {
    const by = reaches.findIndex((earlier, i) => i < rule && isCovered(earlier, later));
    return by < 0 ? [] : [{ rule, by }];
  });
}

/** The conditions of one `from` or `to`, and what they match together. No conditions mean `any`. */
class Conditions {
  readonly all: readonly Condition[];
  readonly #sets: ReadonlySet<SetName>;
  #ranges: AddressSet | undefined;
  #names: NameSet | undefined;
  #public: AddressSet | undefined;

  constructor(texts: readonly string[] = ['any']) {
    this.all = texts.map((text) => parseCondition(text)!);
    this.#sets = new Set(this.all.flatMap((condition) => (condition.type === 'set' ? [condition.set] : [])));
  }

  has(set: SetName): boolean {
    return this.#sets.has(set);
  }

  hasName(name: string): boolean {
    this.#names ??= new NameSet(
      this.all.flatMap((condition) => (condition.type === 'name' ? [condition.name] : [])),
    );
    return this.has('any') || this.#names.has(name);
  }

  hasRange(range: AddressRange): boolean {
    if (this.has('any')) return true;
    this.#ranges ??= AddressSet.of(this.all.flatMap(rangesIn));
    if (this.#ranges.covers(range)) return true;
    this.#public ??= this.has('public') ? publicSet() : AddressSet.of([]);
    return this.#public.covers(range);
  }

  /** For conditions without exceptions: in `from`, and in the `to` of a denying rule. */
  cover(condition: Condition): boolean {
    if (condition.type === 'name') return this.hasName(condition.name);
    if (condition.type === 'set' && (this.has('any') || this.has(condition.set))) return true;
    const extent = extentOf(condition);
    return extent.length > 0 && extent.every((range) => this.hasRange(range));
  }
}

const EVERYTHING = ['0.0.0.0/0', '::/0'].map((text) => parseAddressRange(text)!);
const NAT64_AND_6TO4 = ['64:ff9b::/96', '2002::/16'].map((text) => parseAddressRange(text)!);

/** What an allowing rule matches: special addresses (loopback and the like) only where it names them. */
class Special {
  readonly #special = AddressSet.of(specialRanges());
  readonly #private = AddressSet.of(rangesOf('private'));
  /**
   * The special ranges except single addresses and ranges within private networks: a network around those is
   * not about them.
   */
  readonly #elsewhere = AddressSet.except(
    specialRanges().filter((range) => !isSingle(range) && !this.#private.covers(range)),
  );
  /** Allowing rules compare all other addresses by their embedded IPv4 address. */
  readonly #untranslated: AddressSet;
  readonly #named = new Map<Conditions, AddressSet>();

  constructor(nat64: readonly AddressRange[]) {
    this.#untranslated = AddressSet.except([...NAT64_AND_6TO4, ...nat64]);
  }

  /** Whether a rule that allows `to` leaves nothing for a later rule with this condition. */
  allowanceCovers(to: Conditions, condition: Condition, later: RuleOptions['action']): boolean {
    if (condition.type === 'name') return to.hasName(condition.name);
    if (condition.type === 'set') {
      // After `allow any`, `deny any` still matches the special addresses.
      if (condition.set === 'any' && later === 'deny') return false;
      if (to.has(condition.set) || (condition.set === 'public' && to.has('any'))) return true;
    }
    const extent = extentOf(condition);
    if (extent.length === 0) return false;
    const isPrivate = condition.type === 'set' && condition.set === 'private';
    return extent.every((range) => {
      if (isPrivate && this.#special.covers(range)) return true;
      if (!this.#untranslated.covers(range)) return false;
      // A single address in an allowing rule names it, in case it belongs to this machine.
      if (this.#special.covers(range) || (isSingle(range) && later === 'allow'))
        return this.#namedIn(to).covers(range);
      return to.hasRange(range) && (later === 'allow' || this.#elsewhere.covers(range));
    });
  }

  #namedIn(to: Conditions): AddressSet {
    let named = this.#named.get(to);
    if (named === undefined) {
      named = AddressSet.of(
        to.all.flatMap(rangesIn).filter((range) => isSingle(range) || this.#special.covers(range)),
      );
      this.#named.set(to, named);
    }
    return named;
  }
}

/** The ranges that a condition matches; names, `public` and `self` have none. */
function extentOf(condition: Condition): readonly AddressRange[] {
  return condition.type === 'set' && condition.set === 'any' ? EVERYTHING : rangesIn(condition);
}

function isSingle({ first, last }: AddressRange): boolean {
  return sameIp(first, last);
}

/** Whether the first list contains the second; `undefined` matches everything. */
function covers<T>(wide: readonly T[] | undefined, narrow: readonly T[] | undefined): boolean {
  return wide === undefined || (narrow !== undefined && narrow.every((one) => wide.includes(one)));
}

function coversPorts(
  wide: readonly PortRange[] | undefined,
  narrow: readonly PortRange[] | undefined,
): boolean {
  if (wide === undefined) return true;
  const asked = narrow ?? [{ first: 0, last: 65_535 }];
  return asked.every((range) => wide.some(({ first, last }) => first <= range.first && range.last <= last));
}

function coversWindow(wide: WhenOptions | undefined, narrow: WhenOptions | undefined): boolean {
  if (wide === undefined) return true;
  return (
    narrow !== undefined &&
    wide.zone === narrow.zone &&
    wide.hours?.start === narrow.hours?.start &&
    wide.hours?.end === narrow.hours?.end &&
    narrow.days.every((day) => wide.days.includes(day))
  );
}
