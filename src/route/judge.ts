import type { Policy } from '../policy/compile.ts';
import { decide, grantsSome } from '../policy/decide.ts';
import type { Decision, Permit, Refusal } from '../policy/decide.ts';
import type { Command, Destination, Facts, LocalAddresses, RuleOptions } from '../policy/policy.ts';
import type { Ip } from '../wire/ip.ts';
import { ableTo } from './capabilities.ts';
import type { UpstreamOptions } from './options.ts';
import { DIRECT } from './routes.ts';
import type { Route, Routes } from './routes.ts';

/** What decides. It is read at each step, so that a reload between two of them counts. */
export interface Basis {
  readonly policy: Policy;
  readonly ports: LocalAddresses;
  readonly outbound: { readonly routes: Routes };
}

/** Whose request it is. */
export interface Subject {
  /** What is known of it at this moment. */
  facts(command: Command): Facts;
}

/** What the judge has to know before it can go on: the addresses of a name, asked for as this route wants it. */
export interface Need {
  readonly type: 'addresses';
  readonly name: string;
  readonly route: Route | undefined;
}

/** The addresses; `undefined`: nobody can tell, and the name is judged by itself. */
export type Answer = readonly Ip[] | undefined;

export type Verdict = RoutedPermit | Refused;
/** The word of the rules alone. */
export type Ruling = Exclude<Decision, { readonly type: 'resolve' }>;

/** What the rules allow, and the route that it takes. */
export interface RoutedPermit {
  readonly type: 'allow';
  readonly permit: Permit;
  readonly route: Route;
  /** What of the route's upstream can carry the command; `undefined`: it goes directly, or needs nobody. */
  readonly upstream: UpstreamOptions | undefined;
  /** Those of the permit's addresses that this route is for; none of a name that is passed on. */
  readonly addresses: readonly Ip[];
}

export interface Refused {
  readonly type: 'refuse';
  /**
   * As the rules refuse it · no route leads there · no upstream of the route can carry the `command` · those that could carry its
   * datagrams are reached by `encrypted` links only.
   */
  readonly reason: Refusal['reason'] | 'no-route' | 'command' | 'encrypted';
  /** The rule that refuses it, or allows what has no route. */
  readonly rule?: RuleOptions | undefined;
  /** What of a name is refused, or has no route; of several, the first. */
  readonly address?: Ip | undefined;
  /** The route that cannot carry it. */
  readonly route?: Route;
}

/**
 * Decides about a request, step by step, and yields what it needs to know: the rules and the routes by name; where the route does
 * not pass names on, both again by address; then what the route can carry. Without a destination (UDP ASSOCIATE, and BIND for
 * anybody) whether anything could be allowed. The server, `garter check` and whatever else wants to know drive this one.
 */
export function* judge(
  basis: Basis,
  subject: Subject,
  command: Command,
  destination: Destination | undefined,
): Generator<Need, Verdict, Answer> {
  if (destination === undefined) return judgeSome(basis, subject.facts(command));
  let facts = subject.facts(command);
  let addresses: Answer | 'passed-on';
  let route: Route | undefined;
  if (destination.type === 'name') {
    route = basis.outbound.routes.find(facts, destination, undefined, basis.ports);
    if (route?.passesNames === true) addresses = 'passed-on';
    else {
      const decision = decide(basis.policy, facts, destination, undefined, basis.ports);
      if (decision.type === 'refuse') return decision;
      addresses = (yield { type: 'addresses', name: destination.name, route }) ?? 'passed-on';
      // The user may have other groups by now.
      facts = subject.facts(command);
    }
  }
  const decision = ruled(decide(basis.policy, facts, destination, addresses, basis.ports));
  if (decision.type === 'refuse') return decision;
  const { permit } = decision;
  if (permit.addresses.length === 0) return carriedBy(route, command, permit, []);
  const { routes } = basis.outbound;
  // Most servers have no routes.
  if (routes.areSame) return carriedBy(DIRECT, command, permit, permit.addresses);
  const found = routes.findAmong(facts, destination, permit.addresses, basis.ports);
  return carriedBy(found?.route, command, permit, found?.addresses ?? permit.addresses);
}

/** Asks the rules again about what is open, and about who comes to it: it stays on its route. */
export function judgeOpen(
  { policy, ports }: Basis,
  facts: Facts,
  destination: Destination | undefined,
  addresses: readonly Ip[] | 'passed-on',
): Ruling {
  return destination === undefined
    ? grantsSome(policy, facts, ports)
    : ruled(decide(policy, facts, destination, addresses, ports));
}

/** What of a name is asked with its addresses, or passed on, is decided. */
function ruled(decision: Decision): Ruling {
  if (decision.type === 'resolve') throw new Error('a rule asks for addresses that it has');
  return decision;
}

/** Each destination of an association finds its own route, and a peer of BIND comes by that of the unspecified address. */
function judgeSome({ policy, ports, outbound: { routes } }: Basis, facts: Facts): Verdict {
  const { command } = facts;
  const decision = grantsSome(policy, facts, ports);
  if (decision.type === 'refuse') return decision;
  const { permit } = decision;
  const { destination } = permit;
  if (command !== 'udp') {
    const addresses = destination.type === 'ip' ? [destination.ip] : [];
    return carriedBy(routes.find(facts, destination, undefined, ports), command, permit, addresses);
  }
  const verdicts = routes.openTo(facts, ports).map((route) => carriedBy(route, command, permit, []));
  return (
    verdicts.find(({ type }) => type === 'allow') ?? verdicts[0] ?? carriedBy(undefined, command, permit, [])
  );
}

function carriedBy(
  route: Route | undefined,
  command: Command,
  permit: Permit,
  addresses: readonly Ip[],
): Verdict {
  const { rule } = permit;
  if (route === undefined) return { type: 'refuse', reason: 'no-route', rule, address: addresses[0] };
  const { via } = route;
  if (via === 'direct') return { type: 'allow', permit, route, upstream: undefined, addresses };
  const upstream = command === 'connect' ? via : ableTo(command, via);
  // What is resolved here needs no upstream.
  if (upstream !== undefined || (command === 'resolve' && addresses.length > 0))
    return { type: 'allow', permit, route, upstream, addresses };
  const isEncrypted = command === 'udp' && ableTo(command, { ...via, udp: 'clear' }) !== undefined;
  return { type: 'refuse', reason: isEncrypted ? 'encrypted' : 'command', rule, route };
}
