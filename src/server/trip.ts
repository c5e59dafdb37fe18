import { network } from '../policy/claims.ts';
import { dialDirectly, dialThrough } from '../route/dial.ts';
import type { Dialled, Passage } from '../route/dial.ts';
import { egressFrom } from '../route/egress.ts';
import type { UpstreamOptions } from '../route/options.ts';
import type { Route } from '../route/table.ts';
import type { Trip } from '../route/trip.ts';
import type { Session } from './sessions.ts';
import type { ServerState } from './state.ts';

/** Connects to where a passage leads, until `deadline` by `performance.now`. */
export function dial(
  session: Session,
  passage: Passage,
  deadline: number,
  state: ServerState,
): Promise<Dialled> {
  const { route } = passage;
  session.route = route.label;
  if (route.via !== 'direct') return throughUpstream(session, route.via, passage, deadline, state);
  const timeout = Math.max(1, deadline - performance.now());
  const { signal } = session;
  const options =
    route.egress === undefined
      ? { timeout, signal }
      : { timeout, signal, localAddress: egressFrom(route.egress, session.client.local.host) };
  return dialDirectly(passage, state.engine, options);
}

async function throughUpstream(
  session: Session,
  way: UpstreamOptions,
  passage: Passage,
  deadline: number,
  state: ServerState,
): Promise<Dialled> {
  const { route } = passage;
  const target = await dialThrough(way, passage, tripOf(session, route, deadline, state));
  session.leaveRoute = target.release;
  session.credentials = undefined;
  if (way.type !== 'server') session.route = [route.label, ...target.servers].join('/');
  return target;
}

/** What a request of this session needs on its way through upstreams. */
function tripOf(session: Session, route: Route, deadline: number, state: ServerState): Trip {
  return {
    engine: state.engine,
    resolver: route.resolver ?? state.resolver,
    health: state.health,
    signal: session.signal,
    deadline,
    patience: deadline,
    localAddress: egressFrom(route.egress, session.client.local.host),
    client: network(session.ip),
    credentials: session.credentials,
    isOwnPort: (ip, port) => state.ports.isOwnPort(ip, port, 'tcp'),
  };
}
