import type { End } from '../../audit/record.ts';
import type { RoutedPermit } from '../../route/dial.ts';
import type { RequestEvent, ServerSession } from '../../handshake/server.ts';
import { formatIp, parseIp } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import { Command, Reply } from '../../wire/socks5.ts';
import { destinationOf } from '../destination.ts';
import { Failure } from '../failure.ts';
import { acquireLimits, authorize } from '../session/authorize.ts';
import type { Session } from '../session/session.ts';
import type { ListenerSettings } from '../settings.ts';
import type { ServerState } from '../session/state.ts';
import { ask } from '../session/way-out.ts';

/**
 * Tor's RESOLVE and RESOLVE_PTR (socks-extensions): the reply carries the answer as its address, and the connection ends.
 * Where the route passes names on, the last server is asked.
 */
export async function lookUp(
  session: Session,
  machine: ServerSession,
  request: RequestEvent,
  state: ServerState,
): Promise<End> {
  const destination = destinationOf(request.destination);
  const backwards = request.command === Command.resolvePtr;
  if (backwards && destination.type !== 'ip') {
    throw new Failure('client', 'request', 'address-type', Reply.addressTypeNotSupported);
  }
  const routed = await authorize(session, 'resolve', destination, state);
  acquireLimits(session, 'resolve', destination, routed.permit, state);
  session.phase = 'resolve';
  if (backwards) {
    const host = await nameOf(session, routed, state);
    session.client.write(machine.reply(Reply.succeeded, { host, port: 0 }));
  } else {
    const addresses = await addressesOf(session, routed, state);
    const ip = chosen(addresses, request, session.listener);
    if (ip === undefined) throw new Failure('target', 'resolve', 'ENOTFOUND', Reply.hostUnreachable);
    const host = formatIp(ip);
    session.address = host;
    session.client.write(machine.reply(Reply.succeeded, { host, port: 0 }));
  }
  state.sessions.logGrant(session);
  return { by: 'none', phase: 'resolve' };
}

/** Programs that ask by RESOLVE often know IPv4 only, and torsocks breaks on anything else. SOCKS4 has no room for it. */
function chosen(
  addresses: readonly Ip[],
  { protocol }: RequestEvent,
  { resolve = 'ipv4-first' }: ListenerSettings,
): Ip | undefined {
  const ipv4 = addresses.find(({ family }) => family === 4);
  if (protocol === 'socks4') return ipv4;
  return resolve === 'system' ? addresses[0] : (ipv4 ?? addresses[0]);
}

async function nameOf(session: Session, routed: RoutedPermit, state: ServerState): Promise<string> {
  if (routed.route.passesNames) return askFar(session, Command.resolvePtr, routed, state);
  const { signal } = session;
  const resolver = routed.route.resolver ?? state.resolver;
  return resolver.reverse(routed.permit.addresses[0]!, { source: session.asker, signal });
}

async function addressesOf(
  session: Session,
  routed: RoutedPermit,
  state: ServerState,
): Promise<readonly Ip[]> {
  const { addresses } = routed.permit;
  if (addresses.length > 0) return addresses;
  const ip = parseIp(await askFar(session, Command.resolve, routed, state));
  return ip === undefined ? [] : [ip];
}

/** The answer of the last server. */
async function askFar(
  session: Session,
  command: typeof Command.resolve | typeof Command.resolvePtr,
  routed: RoutedPermit,
  state: ServerState,
): Promise<string> {
  const deadline = performance.now() + state.timeouts.connect;
  const { stream, bound } = await ask(session, command, routed, deadline, state);
  stream.destroy();
  return bound.host;
}
