import type { Connection } from '../../net/engine.ts';
import type { Permit } from '../../policy/decide.ts';
import type { LimitOptions } from '../../policy/policy.ts';
import type { ServerHandshake } from '../../handshake/server.ts';
import { paceOf } from '../limits/bandwidths.ts';
import type { Session } from './session.ts';
import type { Relaying } from './state.ts';

/** Joins client and target under the limits of the permit's rule. The session reports its own end. */
export function relay(
  session: Session,
  handshake: ServerHandshake,
  target: Connection,
  permit: Permit,
  state: Relaying,
): void {
  const { client } = session;
  const { limit = NO_LIMIT } = permit.rule;
  client.unread(handshake.trailing());
  const { send, receive } = state.bandwidths.flows(permit.rule);
  const options = {
    idle: limit.idle ?? state.timeouts.idle,
    halfClose: state.timeouts.halfClose,
    duration: limit.duration ?? 0,
    sendPace: paceOf(send),
    receivePace: paceOf(receive),
  };
  session.relays(state.engine.relay(client, target, options, session), state.sessions);
  state.sessions.recordGrant(session);
}

const NO_LIMIT: LimitOptions = {};
