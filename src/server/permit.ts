import type { Endpoint } from '../net/engine.ts';
import { decide, grantsSome } from '../policy/decide.ts';
import type { Decision, Permit } from '../policy/decide.ts';
import type { Command, Destination } from '../policy/policy.ts';
import { network, ruleClaims } from '../policy/claims.ts';
import type { Address } from '../wire/address.ts';
import { formatIp, parseIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { monotonic } from './clock.ts';
import { destinationOf } from './destination.ts';
import { Failure } from './failure.ts';
import type { Grant, Session } from './sessions.ts';
import type { Decide, ServerState } from './state.ts';

/**
 * Asks the rules about one destination, by name first; what the rules cannot tell by name alone, or what will be dialled
 * from here, is resolved and asked again with its addresses. Throws a Failure when it is refused or does not resolve.
 */
export async function obtainPermit(
  session: Session,
  command: Command,
  destination: Destination,
  state: ServerState,
): Promise<Permit> {
  for (;;) {
    let facts = session.facts(command);
    let decision = decide(state.policy, facts, destination, undefined, state.ports);
    if (destination.type === 'name' && decision.type !== 'refuse') {
      const addresses = await resolve(session, destination.name, state);
      // The user may have other groups by now.
      facts = session.facts(command);
      decision = decide(state.policy, facts, destination, addresses, state.ports);
    }
    session.decisions = state.decisions;
    const permit = permitOf(session, decision);
    if (state.decide === undefined) return permit;
    await askEmbedder(session, { ...facts, destination }, state.decide, state.timeouts.connect);
    // The rules may have changed while it thought about it.
    if (session.decisions === state.decisions) return permit;
  }
}

/** Asks whether the rules allow anything at all of this command. */
export function obtainSomePermit(session: Session, command: Command, state: ServerState): Permit {
  session.decisions = state.decisions;
  return permitOf(session, grantsSome(state.policy, session.facts(command), state.ports));
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
  state: ServerState,
): ReturnType<ServerState['resolver']['resolve']> {
  try {
    const { signal, ip } = session;
    return await state.resolver.resolve(name, { source: network(ip), signal });
  } catch (error) {
    throw Failure.from(error, 'resolve');
  }
}

/** What a connection was granted that is open by now. Asked about after a reload at most, it is parsed only then. */
export class DialledGrant implements Grant {
  readonly #asked: Address;
  readonly #dialled: Endpoint;

  constructor(asked: Address, dialled: Endpoint) {
    this.#asked = asked;
    this.#dialled = dialled;
  }

  get command(): Command {
    return 'connect';
  }

  get destination(): Destination {
    return destinationOf(this.#asked);
  }

  get addresses(): readonly Ip[] {
    return [parseIp(this.#dialled.host)!];
  }
}

/** Counts the session against the limits of the rule that allows it, until the session ends, or is admitted under another. */
export function admit(
  session: Session,
  command: Command,
  destination: Destination | undefined,
  permit: Permit,
  state: ServerState,
): void {
  if (session.lease !== undefined) state.limits.release(session.lease);
  session.rule = permit.rule;
  session.grant = { command, destination, addresses: permit.addresses };
  state.quotas.begin(session, permit.rule);
  const claims = ruleClaims(permit.rule, session.identity?.user, session.ip);
  const outcome = state.limits.acquire(claims, monotonic());
  if ('refused' in outcome) throw Failure.limit(outcome.refused, session.phase);
  session.lease = outcome.lease;
}
