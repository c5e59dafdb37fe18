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
import { PortSet } from '../../policy/ports.ts';
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
  const conditionsOf = sharing();
  const reaches = rules.map((options) => ({ options, from: conditionsOf(options.from) }));
  return findCovered(
    reaches,
    (a, b) => covers(a.options.listener, b.options.listener) && a.from.coverAll(b.from),
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
  return findCovered(reachesOf(rules), (a, b) => {
    const [earlier, later] = [a.options.action, b.options.action];
    if (!coversFacts(a, b)) return false;
    if (earlier === 'deny') return a.to.coverAll(b.to);
    if (a.to === b.to && later === 'allow') return true;
    return b.to.all.every((condition) => special.allowanceCovers(a.to, condition, later));
  });
}

/** The unreachable routes. */
export function unreachableRoutes(routes: readonly RequestConditionOptions[]): Unreachable[] {
  return findCovered(reachesOf(routes), (a, b) => coversFacts(a, b) && a.to.coverAll(b.to));
}

/** A destination of a denying rule that an earlier rule allows, at least in part; positions in the lists. */
export interface LateDenial {
  readonly rule: number;
  readonly to: number;
  readonly by: number;
  /** Nothing of it is left to deny. */
  readonly whole: boolean;
}

/**
 * The denying rules that come too late for some requests. An allowing rule above a denial is usually an
 * exception from it: for certain clients or hours, or for destinations, ports and commands that the denial
 * contains. Only what is no such exception counts. At most one per rule.
 */
export function lateDenials(
  rules: readonly RuleOptions[],
  nat64: readonly AddressRange[] = [],
): LateDenial[] {
  const special = new Special(nat64);
  const reaches = reachesOf(rules);
  return reaches.flatMap((denial, rule) => {
    if (denial.options.action === 'allow') return [];
    const late = reaches.slice(0, rule).flatMap((allowance, by): LateDenial[] => {
      if (allowance.options.action === 'deny' || !overlapsFacts(allowance, denial)) return [];
      const to = lateEntry(denial, allowance, special);
      if (to < 0) return [];
      const covered = special.allowanceCovers(allowance.to, denial.to.all[to]!, 'deny');
      return [{ rule, to, by, whole: covered && coversFacts(allowance, denial) }];
    });
    const worst = late.find(({ whole }) => whole) ?? late[0];
    return worst === undefined ? [] : [worst];
  });
}

/** The first entry that is allowed before in part, and not as an exception; -1 if there is none. */
function lateEntry(denial: Reach<RuleOptions>, allowance: Reach<RuleOptions>, special: Special): number {
  const allowsPublic = allowance.to.has('any') || allowance.to.has('public');
  if (allowance.to.all.every((condition) => denial.to.cover(condition))) {
    if (!allowsPublic || coversFacts(denial, allowance)) return -1;
    return denial.to.all.findIndex(
      (entry) => entry.type === 'set' && (entry.set === 'any' || entry.set === 'public'),
    );
  }
  const listed = new Set(allowance.options.to);
  return denial.to.all.findIndex(
    (entry, i) =>
      !listed.has(denial.options.to[i]!) &&
      // Most names have public addresses.
      (special.allowanceCovers(allowance.to, entry, 'deny') || (entry.type === 'name' && allowsPublic)),
  );
}

/** Whether the first applies to all clients and times of the second, and to some of the same requests. */
function overlapsFacts(a: Reach<RequestConditionOptions>, b: Reach<RequestConditionOptions>): boolean {
  const [first, second] = [a.options, b.options];
  return (
    covers(first.listener, second.listener) &&
    (a.users === undefined || second.user?.every((user) => a.users!.has(user)) === true) &&
    coversWindow(first.when, second.when) &&
    b.from.all.every((condition) => a.from.cover(condition)) &&
    overlap(first.commands, second.commands, (x, y) => x === y) &&
    overlap(first.protocol, second.protocol, (x, y) => x === y) &&
    overlap(first.port, second.port, portsOverlap) &&
    overlap(first.sourcePort, second.sourcePort, portsOverlap)
  );
}

/** Whether two lists have something in common; `undefined` contains everything. */
function overlap<T>(
  a: readonly T[] | undefined,
  b: readonly T[] | undefined,
  meet: (x: T, y: T) => boolean,
): boolean {
  return a === undefined || b === undefined || a.some((x) => b.some((y) => meet(x, y)));
}

function portsOverlap(a: PortRange, b: PortRange): boolean {
  return a.first <= b.last && b.first <= a.last;
}

interface Reach<T extends RequestConditionOptions> {
  readonly options: T;
  readonly from: Conditions;
  readonly to: Conditions;
  readonly users: ReadonlySet<string> | undefined;
  readonly ports: PortSet | undefined;
}

function reachesOf<T extends RequestConditionOptions>(all: readonly T[]): Reach<T>[] {
  const conditionsOf = sharing();
  return all.map((options) => ({
    options,
    from: conditionsOf(options.from),
    to: conditionsOf(options.to),
    users: options.user && new Set(options.user),
    ports: options.port && new PortSet(options.port),
  }));
}

/** Rules with the same list share what is made of it. */
function sharing(): (texts: readonly string[] | undefined) => Conditions {
  const made = new Map<readonly string[] | undefined, Conditions>();
  return (texts) => {
    const known = made.get(texts) ?? new Conditions(texts);
    made.set(texts, known);
    return known;
  };
}

/** Whether the first matches whenever the second does, apart from the destination's address or name. */
function coversFacts(a: Reach<RequestConditionOptions>, b: Reach<RequestConditionOptions>): boolean {
  const [wide, narrow] = [a.options, b.options];
  return (
    covers(wide.commands, narrow.commands) &&
    covers(wide.listener, narrow.listener) &&
    covers(wide.protocol, narrow.protocol) &&
    (a.users === undefined || narrow.user?.every((user) => a.users!.has(user)) === true) &&
    coversPorts(a.ports, narrow.port) &&
    coversPorts(wide.sourcePort && new PortSet(wide.sourcePort), narrow.sourcePort) &&
    coversWindow(wide.when, narrow.when) &&
    a.from.coverAll(b.from)
  );
}

function findCovered<T extends { readonly options: Listed }>(
  reaches: readonly T[],
  isCovered: (earlier: T, later: T) => boolean,
): Unreachable[] {
  return reaches.flatMap((later, rule) => {
    // With an empty list it matches nothing, until there is something in the file.
    if (LISTED.some((key) => later.options[key]?.length === 0)) return [];
    const by = reaches.findIndex((earlier, i) => i < rule && isCovered(earlier, later));
    return by < 0 ? [] : [{ rule, by }];
  });
}

const LISTED = ['from', 'to', 'user', 'port'] as const;
type Listed = Partial<Record<(typeof LISTED)[number], readonly unknown[]>>;

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

  /** Whether they match everything that the others do, under the same premise as `cover`. */
  coverAll(others: Conditions): boolean {
    return this === others || others.all.every((condition) => this.cover(condition));
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
  wide: PortSet | undefined,
  narrow: readonly PortRange[] = [{ first: 0, last: 65_535 }],
): boolean {
  return wide === undefined || narrow.every((range) => wide.covers(range));
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
