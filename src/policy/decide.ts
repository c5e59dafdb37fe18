import { unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import type { Policy } from './compile.ts';
import { classify } from './classify.ts';
import type { Classified } from './classify.ts';
import { isNumericName, parseName } from './names.ts';
import type { Destination, Facts, RuleOptions, LocalAddresses } from './policy.ts';
import type { Rule } from './rule.ts';

export type Decision =
  | { readonly type: 'allow'; readonly permit: Permit }
  | Refusal
  /** This rule needs the addresses of the name: resolve it and call again. */
  | { readonly type: 'resolve'; readonly rule: RuleOptions };

export interface Refusal {
  readonly type: 'refuse';
  /**
   * `rule` denies it · `no-rule` matches · the matching rule requires another `method` · `own-port`: one of
   * garter's own ports · `bad-name`: not in the form that `parseName` returns, or numeric · `no-address`: the
   * name has none.
   */
  readonly reason: 'rule' | 'no-rule' | 'method' | 'own-port' | 'bad-name' | 'no-address';
  /** The rule that decided, if one did. */
  readonly rule?: RuleOptions;
  /** The refused address; the first if there are several. */
  readonly address?: Ip;
}

/**
 * Proof that a rule allows a destination: requests are dialled, bound and relayed only with a permit. Only
 * the type is exported and no object literal satisfies it, so no permit can be made outside this file.
 */
class Permit {
  /** Never read: a private member makes the type nominal. */
  declare private readonly proof: never;
  readonly rule: RuleOptions;
  readonly destination: Destination;
  /**
   * The addresses that may be dialled, in the given order: those that this rule allows. Empty for a name
   * decided by name alone.
   */
  readonly addresses: readonly Ip[];

  constructor(rule: RuleOptions, destination: Destination, addresses: readonly Ip[]) {
    this.rule = rule;
    this.destination = destination;
    this.addresses = addresses;
  }
}
export type { Permit };

/**
 * Evaluates the rules once from top to bottom: the first match decides, no match = refused. Call it for a
 * name without addresses first (`resolved` undefined), then, if the name is to be dialled from here, with its
 * addresses in order of preference: each is decided separately, and the permit comes from the rule of the
 * first one allowed. If the name will be resolved elsewhere, it is `passed-on`: address conditions then do
 * not match.
 *
 * To recheck an open session, call it again with the address in use, and the current time or a new policy.
 */
export function decide(
  policy: Policy,
  facts: Facts,
  destination: Destination,
  resolved: readonly Ip[] | 'passed-on' | undefined,
  surroundings: LocalAddresses,
): Decision {
  const question: Question = {
    policy,
    facts,
    client: unmapped(facts.client),
    destination,
    surroundings,
  };
  if (destination.type === 'ip') return decideAddresses(question, [destination.ip]);
  const { name } = destination;
  // In another spelling, a name would bypass the rules.
  if (parseName(name) !== name || isNumericName(name)) return { type: 'refuse', reason: 'bad-name' };
  if (resolved === undefined || resolved === 'passed-on') return decideName(question, name, resolved);
  return decideAddresses(question, resolved);
}

/**
 * Whether some rule could let this client send anything, for UDP ASSOCIATE, and for BIND without a named
 * peer. The permit has no destinations: each is decided when it is used.
 */
export function grantsSome(
  policy: Policy,
  facts: Facts,
  surroundings: LocalAddresses,
): Exclude<Decision, { type: 'resolve' }> {
  const client = unmapped(facts.client);
  let unmet: Refusal | undefined;
  for (const rule of policy.rules) {
    if (!rule.isFor(facts, client, surroundings)) continue;
    const refusal = refusalBy(rule, facts);
    if (refusal === undefined) {
      return { type: 'allow', permit: new Permit(rule.options, UNSPECIFIED, []) };
    }
    if (refusal.reason === 'method') unmet ??= refusal;
    else if (rule.coversAll) return unmet ?? refusal;
  }
  return unmet ?? NO_RULE;
}

const UNSPECIFIED: Destination = { type: 'ip', ip: { family: 4, words: [0, 0, 0, 0] }, port: 0 };
const NO_RULE: Refusal = { type: 'refuse', reason: 'no-rule' };

interface Question {
  readonly policy: Policy;
  readonly facts: Facts;
  /** The client's address as rules compare it. */
  readonly client: Ip;
  readonly destination: Destination;
  readonly surroundings: LocalAddresses;
}

function decideName(question: Question, name: string, resolved: 'passed-on' | undefined): Decision {
  const { policy, facts, destination } = question;
  for (const rule of policy.rules) {
    if (!isFor(rule, question)) continue;
    if (resolved === undefined ? rule.to.hasName(name) : rule.to.hasPassedOn(name)) {
      return refusalBy(rule, facts) ?? { type: 'allow', permit: new Permit(rule.options, destination, []) };
    }
    if (rule.to.needsAddress && resolved === undefined) return { type: 'resolve', rule: rule.options };
  }
  return NO_RULE;
}

function decideAddresses(question: Question, addresses: readonly Ip[]): Decision {
  let rule: RuleOptions | undefined;
  let refusal: Refusal | undefined;
  const allowed: Ip[] = [];
  for (const address of addresses) {
    const outcome = decideAddress(question, address);
    if ('reason' in outcome) {
      refusal ??= { ...outcome, address };
      continue;
    }
    rule ??= outcome.options;
    if (outcome.options === rule) allowed.push(address);
  }
  if (rule !== undefined) {
    // Usually all are allowed, and sharing the list saves memory for the life of the session.
    const dialled = allowed.length === addresses.length ? addresses : allowed;
    return { type: 'allow', permit: new Permit(rule, question.destination, dialled) };
  }
  return refusal ?? { type: 'refuse', reason: 'no-address' };
}

/** One pass for one address: the rule that allows it, or the refusal. */
function decideAddress(question: Question, address: Ip): Rule | Refusal {
  const { policy, facts, destination, surroundings } = question;
  const judged = classify(address, policy.special, policy.nat64, surroundings);
  if (isOwnPort(judged, question)) return { type: 'refuse', reason: 'own-port' };
  const name = destination.type === 'name' ? destination.name : undefined;
  for (const rule of policy.rules) {
    if (isFor(rule, question) && rule.to.has(name, judged)) return refusalBy(rule, facts) ?? rule;
  }
  return NO_RULE;
}

function isFor(rule: Rule, { facts, client, destination, surroundings }: Question): boolean {
  return rule.hasPort(destination.port) && rule.isFor(facts, client, surroundings);
}

function isOwnPort({ ip, inside }: Classified, { facts, destination, surroundings }: Question): boolean {
  // RESOLVE does not connect to any port.
  if (facts.command === 'resolve') return false;
  const { port } = destination;
  const transport = facts.command === 'udp' ? 'udp' : 'tcp';
  return (
    surroundings.isOwnPort(ip, port, transport) ||
    (inside !== undefined && surroundings.isOwnPort(inside, port, transport))
  );
}

/** The refusal by a matching rule, if any. */
function refusalBy({ options }: Rule, { method }: Facts): Refusal | undefined {
  if (options.action === 'deny') return { type: 'refuse', reason: 'rule', rule: options };
  if (options.method === undefined || options.method.includes(method)) return undefined;
  return { type: 'refuse', reason: 'method', rule: options };
}
