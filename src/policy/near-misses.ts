import { formatIp, unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { classify } from './classify.ts';
import type { Classified } from './classify.ts';
import type { Policy } from './compile.ts';
import type { Destination, Facts, LocalAddresses, PortRange, RequestConditionOptions } from './policy.ts';
import { RequestConditions } from './request-conditions.ts';
import type { FactCondition } from './request-conditions.ts';
import type { Rule } from './rule.ts';
import { blocksWith } from './sets.ts';
import { describeOutside } from './window.ts';

/** The conditions of a rule or route that matched a request in all but one. */
export interface NearMiss<T extends RequestConditions = Rule> {
  readonly conditions: T;
  /** The key of that one. */
  readonly condition: FactCondition | 'port' | 'to';
  /** What was asked for, and what the condition requires: `port 8000 is not in [80, 443]`. */
  readonly text: string;
}

/**
 * Explains why `decide` found no matching rule: the allowing ones that nearly match. A name is judged by
 * `resolved`, one of its addresses, or else alone. Without a destination, only the conditions that apply
 * before there is one are considered.
 */
export function nearMisses(
  { rules, special, nat64 }: Policy,
  facts: Facts,
  destination: Destination | undefined,
  resolved: Ip | undefined,
  surroundings: LocalAddresses,
): NearMiss[] {
  const allowing = rules.filter(({ options }) => options.action === 'allow');
  const judge = (ip: Ip): Classified => classify(ip, special, nat64, surroundings);
  return nearMissesAmong(allowing, facts, destination, resolved, judge, surroundings);
}

/** The same for any conditions; `judge` classifies an address as they compare it. */
export function nearMissesAmong<T extends RequestConditions>(
  all: readonly T[],
  facts: Facts,
  destination: Destination | undefined,
  resolved: Ip | undefined,
  judge: (ip: Ip) => Classified,
  surroundings: LocalAddresses,
): NearMiss<T>[] {
  const client = unmapped(facts.client);
  const target = destination && targetOf(destination, resolved, judge);
  return all.flatMap((conditions): NearMiss<T>[] => {
    const [fact, ...more] = conditions.unmet(facts, client, surroundings);
    const unmet: NearMiss<T>[] = [];
    const miss = (condition: NearMiss['condition'], text: string): void =>
      void unmet.push({ conditions, condition, text });
    if (fact !== undefined) miss(fact, describeFact(conditions.options, fact, facts, client));
    if (target !== undefined && !conditions.hasPort(target.port))
      miss('port', `port ${target.port} is not in ${list(conditions.options.port?.map(formatPorts))}`);
    // A name that was not resolved could match by its address, so this condition is not known to fail.
    const isOpen = target?.judged === undefined && conditions.to.needsAddress && unmet.length > 0;
    if (target !== undefined && !isOpen && !matches(conditions, target))
      miss('to', describeTo(conditions, target));
    return unmet.length === 1 && more.length === 0 ? unmet : [];
  });
}

interface Target {
  readonly name: string | undefined;
  /** `undefined` for a name that was not resolved. */
  readonly judged: Classified | undefined;
  readonly port: number;
}

function targetOf(destination: Destination, resolved: Ip | undefined, judge: (ip: Ip) => Classified): Target {
  const ip = destination.type === 'ip' ? destination.ip : resolved;
  return {
    name: destination.type === 'name' ? destination.name : undefined,
    judged: ip && judge(ip),
    port: destination.port,
  };
}

function matches({ to }: RequestConditions, { name, judged }: Target): boolean {
  return judged === undefined ? to.hasPassedOn(name!) : to.has(name, judged);
}

function describeFact(
  { commands, listener, protocol, sourcePort, from, user, when }: RequestConditionOptions,
  condition: FactCondition,
  facts: Facts,
  client: Ip,
): string {
  switch (condition) {
    case 'command':
      return `the command ${facts.command} is not in ${list(commands)}`;
    case 'listener':
      return `the listener ${facts.listener} is not in ${list(listener)}`;
    case 'protocol':
      return `the protocol ${facts.protocol} is not in ${list(protocol)}`;
    case 'source-port':
      return `the source port ${facts.sourcePort} is not in ${list(sourcePort?.map(formatPorts))}`;
    case 'from':
      return `the client ${formatIp(client)} is not in ${list(from)}`;
    case 'user': {
      const { user: name, groups } = facts;
      if (name === undefined) return `the client has no user name, and ${list(user)} is required`;
      return `${[name, ...groups.map((group) => `@${group}`)].join(' ')} is not in ${list(user)}`;
    }
    case 'when':
      return describeOutside(when!, facts.time);
    default:
      return condition satisfies never;
  }
}

function describeTo(
  { options: { name: owner, to }, to: matcher }: RequestConditions,
  { name, judged }: Target,
): string {
  if (judged === undefined)
    return matcher.needsAddress
      ? `${name} is not resolved here, so its addresses cannot match ${list(to)}`
      : `${name} is not in ${list(to)}`;
  const { ip, inside, self, insideSelf, special } = judged;
  const shown = name === undefined ? formatIp(ip) : `${name} (${formatIp(ip)})`;
  // A denial has no exceptions: it shows whether the conditions contain the address.
  const isContained = new RequestConditions({ name: owner, to }).to.has(undefined, judged);
  if (!isContained) return `${shown} is not in ${list(to)}`;
  if (!special) return `${shown} leads to an IPv4 address, and only any, public and nat64 allow that`;
  const sets = [...(self || insideSelf ? ['self'] : []), ...blocksWith(inside ?? ip)];
  if (sets.length === 0) return `${shown} is this machine, which no rule can allow`;
  return `${shown} is in ${sets.join(' and ')}, which an allowing rule has to name`;
}

const SHOWN = 10;

function list(items: readonly string[] = []): string {
  const more = items.length > SHOWN ? `, and ${items.length - SHOWN} more` : '';
  return `[${items.slice(0, SHOWN).join(', ')}${more}]`;
}

function formatPorts({ first, last }: PortRange): string {
  return first === last ? String(first) : `${first}-${last}`;
}
