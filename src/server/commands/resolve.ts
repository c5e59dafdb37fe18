import type { End } from '../../audit/record.ts';
import type { RequestEvent } from '../../handshake/protocol.ts';
import type { ServerHandshake } from '../../handshake/server.ts';
import type { Protocol } from '../../policy/policy.ts';
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
export async function answerQuery(
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
    const host = formatIp(chosenFrom(addresses, request.protocol, session.listener));
    session.reaches(host);
    session.client.write(handshake.reply(Reply.succeeded, { host, port: 0 }));
  }
  state.sessions.recordGrant(session);
  return { by: 'none', phase: 'resolve' };
}

/**
 * The address for the client. Clients of RESOLVE often support IPv4 only, and torsocks breaks on anything
 * else. SOCKS4 has no room for IPv6; throws a Failure if there is nothing else.
 */
export function chosenFrom(
  addresses: readonly Ip[],
  protocol: Protocol,
  { resolve = 'ipv4-first' }: Pick<ListenerSettings, 'resolve'>,
): Ip {
  const ipv4 = addresses.find(({ family }) => family === 4);
  const other = protocol === 'socks4' ? undefined : addresses[0];
  const ip = resolve === 'system' ? (other ?? ipv4) : (ipv4 ?? other);
  if (ip === undefined) throw new Failure('target', 'resolve', 'ENOTFOUND', Reply.hostUnreachable);
  return ip;
}
