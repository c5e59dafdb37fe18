import type { Log } from '../../audit/log.ts';
import type { Authentication } from '../../auth/identity.ts';
import type { Engine } from '../../net/engine.ts';
import type { Limits } from '../../limits/limits.ts';
import type { Policy } from '../../policy/compile.ts';
import type { Outbound } from '../../route/outbound.ts';
import type { Decide } from '../hooks.ts';
import type { Associations } from '../limits/associations.ts';
import type { Bandwidths } from '../limits/bandwidths.ts';
import type { ConnectionLimits } from '../limits/connections.ts';
import type { OwnPorts } from '../listen/own-ports.ts';
import type { Quotas } from '../limits/quotas.ts';
import type { RelayPorts } from '../listen/relay-ports.ts';
import type { SharedPorts } from '../listen/shared-ports.ts';
import type { Sessions } from './sessions.ts';
import type { Timeouts } from '../settings.ts';

/**
 * State shared by all connections of a server. A reload replaces its members; a connection reads each one
 * when it needs it, and thus sees the newest.
 */
export interface ServerState {
  readonly engine: Engine;
  readonly ports: OwnPorts;
  readonly relayPorts: RelayPorts;
  readonly sharedPorts: SharedPorts;
  readonly sessions: Sessions;
  readonly limits: Limits;
  readonly connections: ConnectionLimits;
  readonly bandwidths: Bandwidths;
  readonly quotas: Quotas;
  readonly associations: Associations;
  readonly log: Log;
  policy: Policy;
  /** Increases whenever an earlier decision may no longer hold. */
  decisions: number;
  readonly outbound: Outbound;
  timeouts: Timeouts;
  authenticator: Authentication | undefined;
  /** An embedding program's further decision on requests that the rules have allowed. */
  readonly decide: Decide | undefined;
}

/** The parts for deciding about requests, */
export type Deciding = Pick<
  ServerState,
  'policy' | 'ports' | 'outbound' | 'decisions' | 'decide' | 'timeouts'
>;

/** … for counting sessions against the limits of a rule, */
export type Counting = Pick<ServerState, 'limits' | 'quotas'>;

/** … for joining two connections, */
export type Relaying = Pick<ServerState, 'engine' | 'bandwidths' | 'sessions' | 'timeouts'>;

/** … and for carrying datagrams. */
export type Associating = Deciding &
  Counting &
  Pick<
    ServerState,
    'engine' | 'bandwidths' | 'sessions' | 'associations' | 'relayPorts' | 'sharedPorts' | 'log'
  >;
