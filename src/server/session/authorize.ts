import type { Lease } from '../../limits/limits.ts';
import { ruleClaims } from '../../limits/claims.ts';
import { withTimeout } from '../../limits/timeout.ts';
import type { Permit } from '../../policy/decide.ts';
import type { Command, Destination, RuleOptions } from '../../policy/policy.ts';
import { judge } from '../../route/judge.ts';
import type { Need, RoutedPermit } from '../../route/judge.ts';
import type { Ip } from '../../wire/ip.ts';
import { monotonic } from '../clock.ts';
import { Failure } from '../failure.ts';
import type { Decide } from '../hooks.ts';
import type { Session } from './session.ts';
import type { Counting, Deciding } from './state.ts';

/**
 * Drives the judge for one destination, or for whether any could be allowed (`undefined`), and answers its
 * questions. Throws a Failure when the request is refused, or its name does not resolve.
 */
export async function authorize(
  session: Session,
  command: Command,
  destination: Destination | undefined,
  state: Deciding,
): Promise<RoutedPermit> {
  for (;;) {
    const judging = judge(state, session, command, destination);
    let step = judging.next();
    while (step.done !== true) step = judging.next(await addressesFor(step.value, session, state));
    session.decidedAt(state.decisions);
    const verdict = step.value;
    if (verdict.type === 'refuse') {
      session.refusedBy(verdict);
      throw Failure.ofVerdict(verdict, command);
    }
    if (state.decide === undefined || destination === undefined) return verdict;
    await askEmbedder(
      session,
      { ...session.facts(command), destination },
      state.decide,
      state.timeouts.connect,
    );
    // The rules may have changed while the embedding program was deciding.
    if (session.decisions === state.decisions) return verdict;
  }
}

async function addressesFor(
  { name, route }: Need,
  session: Session,
  state: Deciding,
): Promise<readonly Ip[]> {
  try {
    return await state.outbound.lookUp(name, route, session);
  } catch (error) {
    throw Failure.from(error, 'resolve');
  }
}

/** The embedding program's decision, with the time limit of a connection attempt. */
async function askEmbedder(
  session: Session,
  request: Parameters<Decide>[0],
  decideToo: Decide,
  timeout: number,
): Promise<void> {
  const mayGoOn = await withTimeout(session.whileOpen(decideToo(request)), timeout, () => {
    throw new Failure('timeout', 'request', 'embedder');
  });
  if (!mayGoOn) throw Failure.refusal('embedder');
}

/** Counts the session against the limits of the rule that allows it, until it ends. */
export function acquireLimits(
  session: Session,
  command: Command,
  destination: Destination,
  { rule, addresses }: Permit,
  state: Counting,
): void {
  const isPassedOn = destination.type === 'name' && addresses.length === 0;
  session.granted(rule, { command, destination, addresses: isPassedOn ? 'passed-on' : addresses });
  state.quotas.begin(session, rule);
  session.holds(claim(session, rule, state));
}

/**
 * For a request without a destination yet: it is counted only once it has one, which another rule may allow.
 */
export function admitSome(session: Session, command: Command, { rule }: Permit): void {
  session.granted(rule, { command, destination: undefined, addresses: [] });
}

/** Takes one of each limit of a rule; throws the Failure of the one that is exhausted. */
export function claim(session: Session, rule: RuleOptions, { limits }: Pick<Counting, 'limits'>): Lease {
  const claims = ruleClaims(rule, session.identity?.user, session.ip);
  const outcome = limits.acquire(claims, monotonic());
  if ('refused' in outcome) throw Failure.limit(outcome.refused, session.phase);
  return outcome.lease;
}
