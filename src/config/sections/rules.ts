import { AddressSet } from '../../policy/addresses.ts';
import type { AddressRange } from '../../policy/addresses.ts';
import type {
  AcceptRuleOptions,
  LimitOptions,
  LogKind,
  Origin,
  PolicyOptions,
  RuleOptions,
  WhenOptions,
} from '../../policy/policy.ts';
import type { Draft } from '../schema/draft.ts';
import type { CommandWord } from '../input/values.ts';
import { reportTaken, whereIs } from '../checks/names.ts';
import type { Path, Placed, Reports } from '../source/problem.ts';
import { warnOfPort0 } from '../checks/port-0.ts';
import { warnOfSetWords } from '../checks/set-words.ts';
import { lateDenials, unreachableAccepts, unreachableRules } from '../checks/shadowed-rules.ts';
import type { Unreachable } from '../checks/shadowed-rules.ts';
import type { AcceptSection, RuleSection } from '../schema/sections.ts';
import { originOf } from '../source/source.ts';
import type { Source } from '../source/source.ts';
import { checkNat64, checkTranslated } from './translated.ts';
import { quote } from '../source/value-error.ts';

/** The rules used without `rules`: only clients on loopback may reach loopback. */
function builtIn(log: readonly LogKind[]): readonly RuleOptions[] {
  const [action, revoke] = ['allow', 'close'] as const;
  return [
    { name: 'default-loopback', action, from: ['loopback'], to: ['any', 'loopback', 'self'], log, revoke },
    { name: 'default', action, to: ['any'], log, revoke },
  ];
}

/** The accept rules and rules of a draft, cross-checked. `log`: for rules without their own. */
export function completePolicy(
  draft: Draft,
  log: readonly LogKind[],
  source: Source,
  reports: Reports,
): PolicyOptions {
  const nat64 = checkNat64(draft.nat64 ?? [], reports);
  const translated = AddressSet.of(nat64);
  const accept = draft.accept && completeEach(draft.accept, 'accept', source, reports, acceptOptions);
  const rules =
    draft.rules &&
    completeEach(draft.rules, 'rules', source, reports, (section, common, path) => {
      checkRule(section, path, reports);
      checkTranslated(section, path, translated, reports);
      if (section.limit?.['quota-per-user'] !== undefined && draft.state === undefined) {
        const remedy = 'add state: garter.state, a file that garter can write';
        reports.error(
          [...path, 'limit', 'quota-per-user'],
          'a quota needs a file that keeps it across restarts',
          remedy,
        );
      }
      return ruleOptions({ log, revoke: draft.revoke ?? 'close', ...section }, common);
    });
  if (accept) reportUnreachable(accept, unreachableAccepts, source, reports);
  if (rules) {
    const unreachable = reportUnreachable(rules, (all) => unreachableRules(all, nat64), source, reports);
    warnOfLate(rules, nat64, unreachable, source, reports);
  }
  warnOfNothing(draft, reports);
  return {
    ...(accept !== undefined && { accept: accept.map(({ made }) => made) }),
    rules: rules?.map(({ made }) => made) ?? builtIn(log),
    ...(draft.nat64 !== undefined && { nat64: draft.nat64 }),
  };
}

interface Common {
  readonly name: string;
  readonly origin?: Origin;
}

function completeEach<S extends AcceptSection | RuleSection, T extends Common>(
  sections: readonly (S | undefined)[],
  key: 'accept' | 'rules',
  source: Source,
  reports: Reports,
  complete: (section: S, common: Common, path: Path) => T,
): Placed<T>[] {
  const placed = sections.flatMap((section, i) => {
    if (section === undefined) return [];
    const path = [key, i];
    const name = section.name ?? `${key === 'rules' ? 'rule' : key}-${i + 1}`;
    return [{ made: complete(section, { name, ...originOf(source, path) }, path), path }];
  });
  reportTaken(placed, 'records identify rules by name', source, reports);
  return placed;
}

/** Reports the rules that are never reached, and returns their positions. */
function reportUnreachable<T extends { readonly name: string }>(
  placed: readonly Placed<T>[],
  find: (rules: readonly T[]) => Unreachable[],
  source: Source,
  { error, warning, isListed }: Reports,
): ReadonlySet<number> {
  const found = find(placed.map(({ made }) => made));
  for (const { rule, by } of found) {
    const [later, earlier] = [placed[rule]!, placed[by]!];
    // A list that has come to be covered must not make a reload fail.
    const report = [earlier, later].some(({ path }) => isListed(path)) ? warning : error;
    report(
      later.path,
      `the rule ${quote(later.made.name)} is never reached: ${quote(earlier.made.name)} ${whereIs(earlier.path, source)} matches all of it`,
      'move it above that one, or remove it',
    );
  }
  return new Set(found.map(({ rule }) => rule));
}

function warnOfLate(
  placed: readonly Placed<RuleOptions>[],
  nat64: readonly AddressRange[],
  unreachable: ReadonlySet<number>,
  source: Source,
  { warning }: Reports,
): void {
  for (const { rule, to, by, whole } of lateDenials(
    placed.map(({ made }) => made),
    nat64,
  )) {
    if (unreachable.has(rule)) continue;
    const [later, earlier] = [placed[rule]!, placed[by]!];
    warning(
      [...later.path, 'to', to],
      `too late: ${quote(earlier.made.name)} ${whereIs(earlier.path, source)} already allows ${whole ? 'this' : 'some of this'}`,
      whole
        ? 'move this rule above that one'
        : 'move this rule above that one, or narrow that one if it is meant as an exception',
    );
  }
}

/** Warns of lists that only deny; an empty list says plainly that nothing is allowed. */
function warnOfNothing({ accept = [], rules = [] }: Draft, { warning }: Reports): void {
  if (onlyDenies(rules))
    warning(
      ['rules'],
      'no rule allows anything: every request is refused',
      'end the list with { allow: any, to: [any] }, or a rule for the destinations you mean',
      'key',
    );
  if (onlyDenies(accept))
    warning(
      ['accept'],
      'no accept rule allows anything: every connection is closed',
      'end the list with { allow: true }, or a rule with the clients you mean under from',
      'key',
    );
}

function onlyDenies(rules: readonly ({ readonly allow?: unknown } | undefined)[]): boolean {
  return rules.length > 0 && rules.every((one) => one !== undefined && (one.allow ?? false) === false);
}

function acceptOptions({ allow, listener, from, methods }: AcceptSection, common: Common): AcceptRuleOptions {
  return {
    ...common,
    allow,
    ...(listener !== undefined && { listener }),
    ...(from !== undefined && { from }),
    ...(methods !== undefined && { methods }),
  };
}

function ruleOptions(
  section: RuleSection & Required<Pick<RuleSection, 'log' | 'revoke'>>,
  common: Common,
): RuleOptions {
  const { allow, deny = [], listener, from, user, to, port, protocol, method, when, limit } = section;
  const words: readonly CommandWord[] = allow ?? deny;
  const commands = words.filter((word) => word !== 'any');
  const sourcePort = section['source-port'];
  return {
    ...common,
    action: allow === undefined ? 'deny' : 'allow',
    ...(commands.length === words.length && { commands }),
    ...(listener !== undefined && { listener }),
    ...(from !== undefined && { from }),
    ...(user !== undefined && { user }),
    to,
    ...(port !== undefined && { port }),
    ...(sourcePort !== undefined && { sourcePort }),
    ...(protocol !== undefined && { protocol }),
    ...(method !== undefined && { method }),
    ...(when !== undefined && { when: whenOptions(when) }),
    ...(limit !== undefined && { limit: limitOptions(limit) }),
    log: section.log,
    revoke: section.revoke,
  };
}

function whenOptions({ days, hours, zone }: NonNullable<RuleSection['when']>): WhenOptions {
  return {
    days: days === undefined ? [0, 1, 2, 3, 4, 5, 6] : [...new Set(days.flat())].toSorted((a, b) => a - b),
    ...(hours !== undefined && { hours }),
    zone: zone ?? new Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
}

function limitOptions(limit: NonNullable<RuleSection['limit']>): LimitOptions {
  const made: { -readonly [K in keyof LimitOptions]: LimitOptions[K] } = {};
  for (const [key, value] of Object.entries(limit)) {
    // sessions-per-user becomes sessionsPerUser.
    Object.assign(made, { [key.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())]: value });
  }
  return made;
}

/** The checks of a rule that the schema cannot express. */
function checkRule(section: RuleSection, path: Path, reports: Reports): void {
  const { error, warning } = reports;
  const { allow, deny, to, protocol, user } = section;
  if (allow === undefined && deny === undefined)
    error(path, 'a rule needs allow or deny', 'add allow: any, or deny: any');
  if (allow !== undefined && deny !== undefined)
    error([...path, 'deny'], 'a rule has allow or deny, not both', 'write two rules', 'key');
  if (deny !== undefined) {
    if (section.method !== undefined) {
      const remedy = 'demand the method in the allowing rule, or name the users under user';
      error([...path, 'method'], 'a denying rule cannot demand a method', remedy, 'key');
    }
    for (const key of ['limit', 'revoke'] as const) {
      if (section[key] !== undefined)
        error([...path, key], `a denying rule has no ${key}`, 'remove it', 'key');
    }
  }
  if (user !== undefined && protocol?.every((one) => one === 'socks4') === true) {
    warning(
      [...path, 'user'],
      'SOCKS4 cannot authenticate users: this rule matches nothing',
      'remove protocol or user',
      'key',
    );
  }
  warnOfSetWords(to, path, reports);
  const words: readonly CommandWord[] = allow ?? deny ?? [];
  if (!words.some((word) => word === 'resolve' || word === 'bind')) warnOfPort0(section, path, reports);
}
