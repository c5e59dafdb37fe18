import { isOver } from '../../auth/identity.ts';
import type { Authentication, Identity } from '../../auth/identity.ts';
import { withTimeout } from '../../limits/timeout.ts';
import { accept } from '../../policy/accept.ts';
import { judgeOpen } from '../../route/judge.ts';
import type { Basis } from '../../route/judge.ts';
import { Failure } from '../failure.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';
import type { ServerState } from './state.ts';

/** Milliseconds for the look-up of identities: a back end that hangs must not hold up later reloads. */
const LOOK_UP = 30_000;

/** The state on which open sessions depend. */
type Revoking = Basis & Pick<ServerState, 'decisions' | 'sessions'>;

/** The clock has moved: hours of rules may be over, and users may have expired. */
export function recheckByClock(state: Revoking): void {
  if (state.policy.timed || someExpire(state.sessions)) recheck(state);
}

/**
 * The rules or users may have changed: refreshes the identities of open sessions, then rechecks the rules.
 */
export async function recheckUsers(
  state: Revoking & Pick<ServerState, 'authenticator' | 'log'>,
): Promise<void> {
  try {
    await identifyAgain(state.sessions, state.authenticator);
  } catch (error) {
    state.log.error('users-unknown', {
      error: error instanceof Error ? error.message : String(error),
    });
  }
  recheck(state);
}

/** For a session that the rules allowed some time ago: throws a Failure when they no longer do. */
export function confirm(session: Session, state: Basis & Pick<ServerState, 'decisions'>): void {
  if (session.decisions === state.decisions) return;
  const reason = revocation(session, state);
  if (reason !== undefined) throw Failure.refusal(reason, session.phase);
}

/**
 * Checks every open session against the rules again. One that is no longer allowed ends, unless the rule that
 * allowed it has `revoke: keep`; that protects only what this rule allowed.
 */
function recheck(state: Revoking): void {
  state.decisions++;
  state.sessions.stop((session) => {
    const reason = revocation(session, state);
    const isKept = session.recheck?.(reason) === true;
    return reason === undefined || isKept ? undefined : Failure.refusal(reason, session.phase);
  });
}

/** Why a session must end; `undefined` when it can continue. */
function revocation(session: Session, state: Basis): 'user-gone' | 'revoked' | undefined {
  const { grant, identity } = session;
  // A session without a destination will be decided later by the client's current facts.
  if (grant?.destination !== undefined && session.rule?.revoke === 'keep') return undefined;
  if (identity !== undefined && isOver(identity, Date.now())) return 'user-gone';
  if (session.phase !== 'accept' && !accept(state.policy, session.origin, state.ports).allow)
    return 'revoked';
  if (grant === undefined) return undefined;
  const { command, destination, addresses } = grant;
  const ruling = judgeOpen(state, session.facts(command), destination, addresses);
  return ruling.type === 'refuse' ? 'revoked' : undefined;
}

/**
 * Refreshes the identities, looking up each user once: groups may have changed, and deleted users expire at
 * once. An embedding program is not asked again, and neither is a CA, whose certificates suffice where there
 * are no users: they identify clients even before a method is chosen. Logins in progress are checked again by
 * the Authenticator.
 */
async function identifyAgain(sessions: Sessions, authenticator: Authentication | undefined): Promise<void> {
  if (authenticator !== undefined && authenticator.identities === undefined) return;
  const asked = new Map<string, Session[]>();
  for (const session of sessions) {
    const { identity, method } = session;
    if (identity === undefined || (authenticator === undefined && method !== 'password')) continue;
    const others = asked.get(identity.user);
    if (others === undefined) asked.set(identity.user, [session]);
    else others.push(session);
  }
  if (asked.size === 0) return;
  const looking = authenticator?.identities?.([...asked.keys()]) ?? Promise.resolve([]);
  const identities = await withTimeout(looking, LOOK_UP, () => {
    throw new Error(`no answer within ${LOOK_UP} ms`);
  });
  for (const [i, theirs] of [...asked.values()].entries()) {
    const identity = identities[i] ?? gone(theirs[0]!.identity!);
    for (const session of theirs) session.identifiedAs(identity);
  }
}

function gone(identity: Identity): Identity {
  return { ...identity, expires: -Infinity };
}

function someExpire(sessions: Sessions): boolean {
  for (const { identity } of sessions) if (identity?.expires !== undefined) return true;
  return false;
}
