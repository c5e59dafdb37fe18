import { LocalUsers } from '../auth/local-users.ts';
import { decide, grantsSome } from '../policy/decide.ts';
import { Failure } from './failure.ts';
import type { Session } from './sessions.ts';
import type { ServerState } from './state.ts';

/**
 * Asks the rules about every open session again, after a reload or when the clock has moved: one that is no longer allowed
 * ends, unless the rule that had allowed it says `revoke: keep`.
 */
export function recheck(state: ServerState): void {
  state.decisions++;
  for (const session of state.sessions) {
    if (session.granted === undefined || session.rule?.revoke === 'keep') continue;
    const reason = revocation(session, state);
    if (reason !== undefined) session.stop(Failure.refusal(reason, session.phase));
  }
}

/** Why a granted session may not go on; `undefined` when it may. */
function revocation(session: Session, state: ServerState): string | undefined {
  const { identity, granted } = session;
  if (identity !== undefined && state.authenticator instanceof LocalUsers) {
    const now = state.authenticator.identity(identity.user, Date.now());
    if (now === undefined) return 'user-gone';
    session.identity = now;
  }
  if (granted === undefined) return undefined;
  const facts = session.facts(granted.command);
  const decision =
    granted.destination === undefined
      ? grantsSome(state.policy, facts, state.ports)
      : decide(state.policy, facts, granted.destination, granted.addresses, state.ports);
  return decision.type === 'refuse' ? 'revoked' : undefined;
}
