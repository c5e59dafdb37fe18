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
  /** This rule needs the addresses of the name: resolve it and ask again. */
  | { readonly type: 'resolve'; readonly rule: RuleOptions };

export interface Refusal {
  readonly type: 'refuse';
  /**
   * `rule` denies it · no rule matches · the matching rule demands another `method` · it is one of garter's own ports ·
   * `bad-name`: not a name as `parseName` gives it, or numeric · the name has no address.
   */
  readonly reason: 'rule' | 'no-rule' | 'method' | 'own-port' | 'bad-name' | 'no-address';
  /** The rule that decided, if one did. */
  readonly rule?: RuleOptions;
  /** The address that was refused; of several, the first. */
  readonly address?: Ip;
}

/**
 * Proof that a rule allows it: what a peer asked for is dialled, bound and relayed for a permit only. Just its type is
 * exported, and no object literal is one, so that none is made outside this file.
 */
class Permit {
  /** Nobody reads it: a private member is what makes the type one of its own. */
  declare private readonly proof: never;
  readonly rule: RuleOptions;
  readonly destination: Destination;
  /** The addresses that may be dialled, in the order given: those that this rule allows. None for a name decided by name alone. */
  readonly addresses: readonly Ip[];

  constructor(rule: RuleOptions, destination: Destination, addresses: readonly Ip[]) {
    this.rule = rule;
    this.destination = destination;
    this.addresses = addresses;
  }
}
export type { Permit };

/**
 * Asks the rules, read once from top to bottom: the first match decides, nothing matches = refused. Ask a name first by
 * itself (`resolved` undefined), then, if it is to be dialled from here, with its addresses in the order of preference:
 * each is decided by itself, and the first allowed one's rule gives the permit. Where somebody else will resolve the name,
 * it is `passed on`: address conditions then match nothing.
 *
 * An open session is rechecked by asking again with the address it has, and a later time or another policy.
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
  // Spelt in another way, a name would slip past the rules.
  if (parseName(name) !== name || isNumericName(name)) return { type: 'refuse', reason: 'bad-name' };
  if (resolved === undefined || resolved === 'passed-on') return decideName(question, name, resolved);
  return decideAddresses(question, resolved);
}

/**
 * Whether some rule could let this client send anything: UDP ASSOCIATE, and BIND for a peer that is not named. Each
 * destination is decided by itself when it is used; the permit has none.
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
  /** The client's address as it is judged. */
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
    // As a rule all are, and then no second list has to live as long as the session.
    const dialled = allowed.length === addresses.length ? addresses : allowed;
    return { type: 'allow', permit: new Permit(rule, question.destination, dialled) };
  }
  return refusal ?? { type: 'refuse', reason: 'no-address' };
}

/** One pass for one address: the rule that allows it, or why it is refused. */
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
  // RESOLVE reaches no port.
  if (facts.command === 'resolve') return false;
  const { port } = destination;
  const transport = facts.command === 'udp' ? 'udp' : 'tcp';
  return (
    surroundings.isOwnPort(ip, port, transport) ||
    (inside !== undefined && surroundings.isOwnPort(inside, port, transport))
  );
}

/** What a rule that matches has against it, if anything. */
function refusalBy({ options }: Rule, { method }: Facts): Refusal | undefined {
  if (options.action === 'deny') return { type: 'refuse', reason: 'rule', rule: options };
  if (options.method === undefined || options.method.includes(method)) return undefined;
  return { type: 'refuse', reason: 'method', rule: options };
}
