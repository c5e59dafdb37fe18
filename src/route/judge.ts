import type { Policy } from '../policy/compile.ts';
import { decide, grantsSome } from '../policy/decide.ts';
import type { Decision, Permit, Refusal } from '../policy/decide.ts';
import type { Command, Destination, Facts, LocalAddresses, RuleOptions } from '../policy/policy.ts';
import type { Ip } from '../wire/ip.ts';
import { ableTo, takesIpv6 } from './capabilities.ts';
import { mayGoDirectly } from './options.ts';
import type { UpstreamOptions } from './options.ts';
import { DIRECT } from './routes.ts';
import type { Route, Routes } from './routes.ts';

/** The basis of decisions. It is read at each step, so a reload between two steps takes effect. */
export interface Basis {
  readonly policy: Policy;
  readonly ports: LocalAddresses;
  readonly outbound: { readonly routes: Routes };
}

/** The client that makes the request. */
export interface Subject {
  /** Its current facts. */
  facts(command: Command): Facts;
}

/** What the judge must know to continue: the addresses of a name, looked up as this route requires. */
export interface Need {
  readonly type: 'addresses';
  readonly name: string;
  readonly route: Route | undefined;
}

/** The addresses; `undefined` when they cannot be looked up, and the name is judged alone. */
export type Answer = readonly Ip[] | undefined;

export type Verdict = RoutedPermit | Refused;
/** The decision of the rules alone. */
export type Ruling = Exclude<Decision, { readonly type: 'resolve' }>;

/** A permit of the rules, with its route. */
export interface RoutedPermit {
  readonly type: 'allow';
  readonly permit: Permit;
  readonly route: Route;
  /**
   * The part of the route's upstream that can carry the command; `undefined` when none is used or required, or
   * none can and the request leaves directly.
   */
  readonly upstream: UpstreamOptions | undefined;
  /** Those of the permit's addresses that take this route and can be used; none for a name that is passed on. */
  readonly addresses: readonly Ip[];
}

export interface Refused {
  readonly type: 'refuse';
  /**
   * A reason of the rules · datagrams to `port-0` · no route matches · no upstream of the route can carry the
   * `command` · those that can carry its datagrams are reached by `encrypted` links only · SOCKS4, on either
   * side, has no room for its addresses (`address-type`) · an address of a `family` that is not used.
   */
  readonly reason:
    | Refusal['reason']
    | 'port-0'
    | 'no-route'
    | 'command'
    | 'encrypted'
    | 'address-type'
    | 'family';
  /** The rule that refuses, or that allows a destination without a route. */
  readonly rule?: RuleOptions | undefined;
  /** The address of a name that is refused or has no route; of several, the first. */
  readonly address?: Ip | undefined;
  /** The route that cannot carry the command. */
  readonly route?: Route;
}

/**
 * Decides about a request step by step, and yields what it needs to know: first the rules and the routes by
 * name; then, unless the route passes names on or no route can match, both again by address; finally whether the route can carry
 * the command. Without a destination (UDP ASSOCIATE, and BIND for any peer), decides whether anything could
 * be allowed. The server and `garter check` both drive this generator.
 */
export function* judge(
  basis: Basis,
  subject: Subject,
  command: Command,
  destination: Destination | undefined,
): Generator<Need, Verdict, Answer> {
  if (destination === undefined) return judgeSome(basis, subject.facts(command));
  if (command === 'udp' && destination.port === 0) return { type: 'refuse', reason: 'port-0' };
  let facts = subject.facts(command);
  let addresses: Answer | 'passed-on';
  let route: Route | undefined;
  if (destination.type === 'name') {
    route = basis.outbound.routes.find(facts, destination, undefined, basis.ports);
    if (route?.passesNames === true) addresses = 'passed-on';
    else {
      const decision = decide(basis.policy, facts, destination, undefined, basis.ports);
      if (decision.type === 'refuse') return decision;
      // Whatever its addresses are, no route leads there.
      if (route === undefined && !basis.outbound.routes.needsAddress(facts, destination, basis.ports)) {
        const rule = decision.type === 'allow' ? decision.permit.rule : undefined;
        return { type: 'refuse', reason: 'no-route', rule };
      }
      addresses = (yield { type: 'addresses', name: destination.name, route }) ?? 'passed-on';
      // The user's groups may have changed by now.
      facts = subject.facts(command);
    }
  }
  const decision = ruled(decide(basis.policy, facts, destination, addresses, basis.ports));
  if (decision.type === 'refuse') return decision;
  const { permit } = decision;
  if (permit.addresses.length === 0) return carriedBy(route, facts, permit, []);
  const { routes } = basis.outbound;
  // Fast path: most configurations have no routes.
  const found = routes.areSame
    ? { route: DIRECT, addresses: permit.addresses }
    : routes.findAmong(facts, destination, permit.addresses, basis.ports);
  if (
    destination.type === 'ip' &&
    found !== undefined &&
    !takes(routes, destination.ip, found.route, command)
  )
    return { type: 'refuse', reason: 'family', rule: permit.rule, address: destination.ip };
  return carriedBy(found?.route, facts, permit, found?.addresses ?? permit.addresses);
}

/** Asks the rules again about an open session, or about a peer that arrives in it: the route stays. */
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

/** A decision that has the addresses, or a name that is passed on, is final. */
function ruled(decision: Decision): Ruling {
  if (decision.type === 'resolve') throw new Error('a rule asks for addresses that it has');
  return decision;
}

/**
 * Each destination of an association finds its own route; a peer of BIND takes that of the unspecified
 * address.
 */
function judgeSome({ policy, ports, outbound: { routes } }: Basis, facts: Facts): Verdict {
  const decision = grantsSome(policy, facts, ports);
  if (decision.type === 'refuse') return decision;
  const { permit } = decision;
  const { destination } = permit;
  if (facts.command !== 'udp') {
    const addresses = destination.type === 'ip' ? [destination.ip] : [];
    return carriedBy(routes.find(facts, destination, undefined, ports), facts, permit, addresses);
  }
  const verdicts = routes.openTo(facts, ports).map((route) => carriedBy(route, facts, permit, []));
  return (
    verdicts.find(({ type }) => type === 'allow') ?? verdicts[0] ?? carriedBy(undefined, facts, permit, [])
  );
}

/**
 * Whether the configured family admits an address, as it limits the addresses of a name: not where names are
 * passed on, and an address is not dialled in order to be resolved.
 */
function takes(routes: Routes, ip: Ip, { passesNames }: Route, command: Command): boolean {
  return passesNames || command === 'resolve' || routes.takes(ip);
}

function carriedBy(
  route: Route | undefined,
  { command, protocol }: Facts,
  permit: Permit,
  found: readonly Ip[],
): Verdict {
  const { rule } = permit;
  if (route === undefined) return { type: 'refuse', reason: 'no-route', rule, address: found[0] };
  // SOCKS4 could not say where a peer with another address is awaited.
  const addresses = command === 'bind' && protocol === 'socks4' ? found.filter(isIpv4) : found;
  if (addresses.length < found.length && addresses.length === 0)
    return { type: 'refuse', reason: 'address-type', rule, route };
  const { via } = route;
  if (via === 'direct') return { type: 'allow', permit, route, upstream: undefined, addresses };
  const upstream = command === 'connect' ? via : ableTo(command, via);
  // What is resolved here needs no upstream.
  if (command === 'resolve' && addresses.length > 0)
    return { type: 'allow', permit, route, upstream, addresses };
  if (upstream === undefined && mayGoDirectly(via))
    return { type: 'allow', permit, route, upstream, addresses };
  if (upstream === undefined) {
    const isEncrypted = command === 'udp' && ableTo(command, via, true) !== undefined;
    return { type: 'refuse', reason: isEncrypted ? 'encrypted' : 'command', rule, route };
  }
  if (addresses.length > 0 && !addresses.some(isIpv4) && !takesIpv6(upstream))
    return { type: 'refuse', reason: 'address-type', rule, route };
  return { type: 'allow', permit, route, upstream, addresses };
}

function isIpv4({ family }: Ip): boolean {
  return family === 4;
}
