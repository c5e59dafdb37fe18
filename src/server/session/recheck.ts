import { accept } from '../../policy/accept.ts';
import { judgeOpen } from '../../route/judge.ts';
import type { Basis } from '../../route/judge.ts';
import { Failure } from '../failure.ts';
import type { Session } from './session.ts';
import type { ServerState } from './state.ts';

/** What an open session depends on. */
type Revoking = Basis & Pick<ServerState, 'authenticator' | 'decisions'>;

/**
 * Asks the rules about every open session again, after a reload or when the clock has moved: one that is no longer allowed
 * ends, unless the rule that had allowed it says `revoke: keep`. That protects what it had allowed and nothing more.
 */
export function recheck(state: Revoking & Pick<ServerState, 'sessions'>): void {
  state.decisions++;
  for (const session of state.sessions) {
    const reason = revocation(session, state);
    const isKept = session.recheck?.(reason) === true;
    if (reason !== undefined && !isKept) session.stop(Failure.refusal(reason, session.phase));
  }
}

/** For a session that the rules allowed some time ago: throws a Failure when they do no more. */
export function confirm(session: Session, state: Revoking): void {
  if (session.decisions === state.decisions) return;
  const reason = revocation(session, state);
  if (reason !== undefined) throw Failure.refusal(reason, session.phase);
}

/** Why a session may not go on; `undefined` when it may. */
function revocation(session: Session, state: Revoking): 'user-gone' | 'revoked' | undefined {
  const { grant } = session;
  // What has no destination yet will be asked about by what is known of the client then.
  if (grant?.destination !== undefined && session.rule?.revoke === 'keep') return undefined;
  if (!identifyAgain(session, state)) return 'user-gone';
  if (session.phase !== 'accept' && !accept(state.policy, session.ip, state.ports).allow) return 'revoked';
  if (grant === undefined) return undefined;
  const { command, destination, addresses } = grant;
  const ruling = judgeOpen(state, session.facts(command), destination, addresses);
  return ruling.type === 'refuse' ? 'revoked' : undefined;
}

/**
 * Whether the user is still one; the groups may be others now. An embedding program is not asked again, nor a CA, whose word
 * does where there are no users.
 */
function identifyAgain(session: Session, { authenticator }: Revoking): boolean {
  const { identity } = session;
  if (identity === undefined) return true;
  if (authenticator === undefined && session.method === 'certificate') return true;
  if (authenticator !== undefined && authenticator.identity === undefined) return true;
  const now = authenticator?.identity?.(identity.user, Date.now());
  if (now === undefined) return false;
  session.identifiedAs(now);
  return true;
}
