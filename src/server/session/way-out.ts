import type { Phase } from '../../audit/record.ts';
import { egressFrom } from '../../net/egress.ts';
import { network } from '../../limits/claims.ts';
import type { Share } from '../../limits/spare.ts';
import type { Command as RuleCommand } from '../../policy/policy.ts';
import { ableTo } from '../../route/capabilities.ts';
import { askThrough, dialDirectly, dialThrough } from '../../route/dial.ts';
import type { Asked, Dialled, RoutedPermit } from '../../route/dial.ts';
import { placeOf } from '../../route/options.ts';
import type { ServerOptions, UpstreamOptions } from '../../route/options.ts';
import type { Route } from '../../route/table.ts';
import { remaining } from '../../route/dial-context.ts';
import type { DialContext } from '../../route/dial-context.ts';
import { Command, Reply } from '../../wire/socks5.ts';
import { Failure } from '../failure.ts';
import type { Session } from './session.ts';
import type { ServerState } from './state.ts';

/** Connects to where a routed leads, until `deadline` by `performance.now`. */
export function dial(
  session: Session,
  routed: RoutedPermit,
  deadline: number,
  state: ServerState,
): Promise<Dialled> {
  const { route } = routed;
  session.route = route.label;
  if (route.via !== 'direct') return throughUpstream(session, route.via, routed, deadline, state);
  const timeout = remaining(deadline);
  const { signal } = session;
  const spare = (): Share => state.spare.shareOf(network(session.ip));
  const options =
    route.egress === undefined
      ? { timeout, signal, spare }
      : { timeout, signal, spare, localAddress: egressFrom(route.egress, session.client.local.host) };
  return dialDirectly(routed, state.engine, options);
}

async function throughUpstream(
  session: Session,
  way: UpstreamOptions,
  routed: RoutedPermit,
  deadline: number,
  state: ServerState,
): Promise<Dialled> {
  const target = await dialThrough(way, routed, dialContextOf(session, routed.route, deadline, state));
  follow(session, routed.route, target);
  return target;
}

/** Asks the last server of a route through upstreams for anything but a connection. */
export async function ask(
  session: Session,
  command: typeof Command.bind | typeof Command.resolve | typeof Command.resolvePtr,
  routed: RoutedPermit,
  deadline: number,
  state: ServerState,
): Promise<Asked> {
  const { route } = routed;
  session.route = route.label;
  const way = upstreamFor(command === Command.bind ? 'bind' : 'resolve', route, session.phase);
  const asked = await askThrough(way, command, routed, dialContextOf(session, route, deadline, state));
  follow(session, route, asked);
  return asked;
}

/** What of a route through upstreams can carry out a command; a Failure where nothing can. */
export function upstreamFor(command: RuleCommand, { via }: Route, phase: Phase): UpstreamOptions {
  if (via === 'direct') throw new Error('a direct route has no upstream');
  const way = ableTo(command, via);
  if (way !== undefined) return way;
  const isEncrypted = command === 'udp' && ableTo(command, { ...via, udp: 'clear' }) !== undefined;
  throw new Failure('upstream', phase, isEncrypted ? 'encrypted' : 'command', Reply.commandNotSupported);
}

/** Notes the way that was taken, which the session holds until its end. */
function follow(
  session: Session,
  route: Route,
  { servers, release }: Pick<Asked, 'servers' | 'release'>,
): void {
  session.releaseUpstreams = release;
  session.credentials = undefined;
  session.route = describeRoute(route, servers);
}

/** For records: of groups and chains the servers that are used follow. */
export function describeRoute({ label, via }: Route, servers: readonly ServerOptions[]): string {
  if (via === 'direct' || via.type === 'server') return label;
  return [label, ...servers.map(placeOf)].join('/');
}

/** What a request of this session needs on its way through upstreams. */
export function dialContextOf(
  session: Session,
  route: Route,
  deadline: number,
  state: ServerState,
): DialContext {
  return {
    engine: state.engine,
    resolver: route.resolver ?? state.resolver,
    health: state.health,
    discovery: state.discovery,
    links: state.links,
    spare: state.spare,
    signal: session.signal,
    deadline,
    hopDeadline: deadline,
    localAddress: route.egress && egressFrom(route.egress, session.client.local.host),
    egress: route.egress,
    client: network(session.ip),
    source: session.asker,
    credentials: session.credentials,
    isOwnPort: (ip, port) => state.ports.isOwnPort(ip, port, 'tcp'),
  };
}
