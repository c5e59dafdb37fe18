import type { End } from '../../audit/record.ts';
import type { RequestEvent } from '../../handshake/protocol.ts';
import type { ServerHandshake } from '../../handshake/server.ts';
import { formatIp } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import { Command, Reply } from '../../wire/socks5.ts';
import { destinationOf } from '../destination.ts';
import { Failure } from '../failure.ts';
import { acquireLimits, authorize } from '../session/authorize.ts';
import type { Session } from '../session/session.ts';
import type { ListenerSettings } from '../settings.ts';
import type { Counting, Deciding, ServerState } from '../session/state.ts';

/**
 * Tor's RESOLVE and RESOLVE_PTR (socks-extensions): the reply carries the answer as its address, and the
 * connection ends. Where the route passes names on, the last server resolves.
 */
export async function lookUp(
  session: Session,
  handshake: ServerHandshake,
  request: RequestEvent,
  state: Deciding & Counting & Pick<ServerState, 'sessions'>,
): Promise<End> {
  const destination = destinationOf(request.destination);
  const backwards = request.command === Command.resolvePtr;
  if (backwards && destination.type !== 'ip') {
    throw new Failure('client', 'request', 'address-type', Reply.addressTypeNotSupported);
  }
  const routed = await authorize(session, 'resolve', destination, state);
  acquireLimits(session, 'resolve', destination, routed.permit, state);
  session.enters('resolve');
  const deadline = performance.now() + state.timeouts.connect;
  if (backwards) {
    const host = await state.outbound.reverse(routed, session, deadline);
    session.client.write(handshake.reply(Reply.succeeded, { host, port: 0 }));
  } else {
    const addresses = await state.outbound.resolve(routed, session, deadline);
    const ip = chosen(addresses, request, session.listener);
    if (ip === undefined) throw new Failure('target', 'resolve', 'ENOTFOUND', Reply.hostUnreachable);
    const host = formatIp(ip);
    session.reaches(host);
    session.client.write(handshake.reply(Reply.succeeded, { host, port: 0 }));
  }
  state.sessions.recordGrant(session);
  return { by: 'none', phase: 'resolve' };
}

/**
 * Clients of RESOLVE often support IPv4 only, and torsocks breaks on anything else. SOCKS4 has no room for
 * it.
 */
function chosen(
  addresses: readonly Ip[],
  { protocol }: RequestEvent,
  { resolve = 'ipv4-first' }: ListenerSettings,
): Ip | undefined {
  const ipv4 = addresses.find(({ family }) => family === 4);
  if (protocol === 'socks4') return ipv4;
  return resolve === 'system' ? addresses[0] : (ipv4 ?? addresses[0]);
}
