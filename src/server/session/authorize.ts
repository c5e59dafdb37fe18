import { decide, grantsSome } from '../../policy/decide.ts';
import type { Decision, Permit } from '../../policy/decide.ts';
import type { Lease } from '../../limits/limits.ts';
import type { Command, Destination, Facts, RuleOptions } from '../../policy/policy.ts';
import { ruleClaims } from '../../limits/claims.ts';
import type { RoutedPermit } from '../../route/dial.ts';
import { DIRECT } from '../../route/table.ts';
import type { Route } from '../../route/table.ts';
import type { Address, HostPort } from '../../wire/address.ts';
import { formatIp, ipOf } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import { monotonic } from '../clock.ts';
import { destinationOf } from '../destination.ts';
import { Failure } from '../failure.ts';
import type { GrantedRequest, Session } from './session.ts';
import type { Decide, ServerState } from './state.ts';

/**
 * Asks the rules and the routes about one destination, by name first. Where the route passes names on, nothing is resolved
 * here; otherwise what the rules cannot tell by name alone, or what will be dialled from here, is resolved, and both are asked
 * again with its addresses. Throws a Failure when it is refused, does not resolve or has no route.
 */
export async function authorize(
  session: Session,
  command: Command,
  destination: Destination,
  state: ServerState,
): Promise<RoutedPermit> {
  for (;;) {
    let facts = session.facts(command);
    const byName =
      destination.type === 'name' ? state.routes.find(facts, destination, undefined, state.ports) : undefined;
    const passedOn = byName?.passesNames === true;
    let decision = decide(state.policy, facts, destination, passedOn ? 'passed-on' : undefined, state.ports);
    if (destination.type === 'name' && !passedOn && decision.type !== 'refuse') {
      const addresses = await resolve(session, destination.name, byName, state);
      // The user may have other groups by now.
      facts = session.facts(command);
      decision = decide(state.policy, facts, destination, addresses, state.ports);
    }
    session.decisions = state.decisions;
    const permit = permitOf(session, decision);
    const routed = passedOn
      ? { permit, route: byName, addresses: [] }
      : withRoute(session, facts, permit, state);
    if (state.decide === undefined) return routed;
    await askEmbedder(session, { ...facts, destination }, state.decide, state.timeouts.connect);
    // The rules may have changed while it thought about it.
    if (session.decisions === state.decisions) return routed;
  }
}

/** An allowed request whose addresses are known, with its route. */
function withRoute(session: Session, facts: Facts, permit: Permit, state: ServerState): RoutedPermit {
  const { destination, addresses } = permit;
  // Most servers have no routes.
  if (state.routes.areSame) return { permit, route: DIRECT, addresses };
  const found = state.routes.findAmong(facts, destination, addresses, state.ports);
  if (found === undefined) throw noRoute(session, addresses[0]);
  return { permit, ...found };
}

function noRoute(session: Session, ip: Ip | undefined): Failure {
  session.address = ip && formatIp(ip);
  return Failure.refusal('no-route');
}

/** Asks whether the rules allow anything at all of this command. */
export function permitSome(session: Session, command: Command, state: ServerState): Permit {
  session.decisions = state.decisions;
  return permitOf(session, grantsSome(state.policy, session.facts(command), state.ports));
}

/** The same with the way out of what has no destination yet: that of the unspecified address, which is its address. */
export function authorizeSome(session: Session, command: Command, state: ServerState): RoutedPermit {
  const permit = permitSome(session, command, state);
  const { destination } = permit;
  const route = state.routes.find(session.facts(command), destination, undefined, state.ports);
  if (route === undefined) throw noRoute(session, undefined);
  return { permit, route, addresses: destination.type === 'ip' ? [destination.ip] : [] };
}

/** The embedding program's word, which may take as long as a connection. */
async function askEmbedder(
  session: Session,
  request: Parameters<Decide>[0],
  decideToo: Decide,
  timeout: number,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Failure('timeout', 'request', 'embedder')), timeout);
  });
  try {
    if (!(await session.whileOpen(Promise.race([decideToo(request), late]))))
      throw Failure.refusal('embedder');
  } finally {
    clearTimeout(timer);
  }
}

/** The permit of a decision; a refusal is thrown, with its rule noted for the record. */
function permitOf(session: Session, decision: Decision): Permit {
  if (decision.type === 'allow') return decision.permit;
  if (decision.type === 'resolve') throw new Failure('internal', 'request', 'unresolved');
  // An association's record names the rule that granted it, not one that later refused a datagram.
  if (session.rule === undefined) {
    session.rule = decision.rule;
    session.address = decision.address && formatIp(decision.address);
  }
  throw Failure.refusal(decision.reason);
}

async function resolve(
  session: Session,
  name: string,
  route: Route | undefined,
  state: ServerState,
): ReturnType<ServerState['resolver']['resolve']> {
  try {
    const { signal } = session;
    return await (route?.resolver ?? state.resolver).resolve(name, { source: session.asker, signal });
  } catch (error) {
    throw Failure.from(error, 'resolve');
  }
}

/** What a connection was granted that is open by now. Asked about after a reload at most, it is parsed only then. */
export class DialledGrant implements GrantedRequest {
  readonly #asked: Address;
  readonly #dialled: HostPort | undefined;

  /** `dialled` is not known where a name was passed on. */
  constructor(asked: Address, dialled: HostPort | undefined) {
    this.#asked = asked;
    this.#dialled = dialled;
  }

  get command(): Command {
    return 'connect';
  }

  get destination(): Destination {
    return destinationOf(this.#asked);
  }

  get addresses(): readonly Ip[] | 'passed-on' {
    return this.#dialled === undefined ? 'passed-on' : [ipOf(this.#dialled.host)!];
  }
}

/** Counts the session against the limits of the rule that allows it, until the session ends, or is admitted under another. */
export function acquireLimits(
  session: Session,
  command: Command,
  destination: Destination,
  permit: Permit,
  state: ServerState,
): void {
  if (session.lease !== undefined) state.limits.release(session.lease);
  const isPassedOn = destination.type === 'name' && permit.addresses.length === 0;
  session.rule = permit.rule;
  session.grant = { command, destination, addresses: isPassedOn ? 'passed-on' : permit.addresses };
  state.quotas.begin(session, permit.rule);
  session.lease = claim(session, permit.rule, state);
}

/** For what has no destination yet: it counts in no rule until it has one, for that may be allowed by another rule. */
export function admitSome(session: Session, command: Command, { rule }: Permit): void {
  session.rule = rule;
  session.grant = { command, destination: undefined, addresses: [] };
}

/** Takes one of each limit of a rule; throws the Failure of the one that is reached. */
export function claim(session: Session, rule: RuleOptions, { limits }: ServerState): Lease {
  const claims = ruleClaims(rule, session.identity?.user, session.ip);
  const outcome = limits.acquire(claims, monotonic());
  if ('refused' in outcome) throw Failure.limit(outcome.refused, session.phase);
  return outcome.lease;
}
