import type { End } from '../audit/record.ts';
import type { RequestEvent, ServerSession } from '../session/server.ts';
import { network } from '../policy/claims.ts';
import { formatIp } from '../wire/ip.ts';
import { Command, Reply } from '../wire/socks5.ts';
import { destinationOf } from './destination.ts';
import { Failure } from './failure.ts';
import { admit, obtainPermitHere } from './permit.ts';
import type { Session } from './sessions.ts';
import type { ServerState } from './state.ts';

/** Tor's RESOLVE and RESOLVE_PTR (socks-extensions): the reply carries the answer as its address, and the connection ends. */
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
  const permit = await obtainPermitHere(session, 'resolve', destination, state);
  admit(session, 'resolve', destination, permit, state);
  session.phase = 'resolve';
  if (backwards) {
    const { signal, ip } = session;
    const host = await state.resolver.reverse(permit.addresses[0]!, { source: network(ip), signal });
    session.client.write(machine.reply(Reply.succeeded, { host, port: 0 }));
  } else {
    // The reply of SOCKS4 has room for an IPv4 address only.
    const ip = permit.addresses.find(({ family }) => request.protocol === 'socks5' || family === 4);
    if (ip === undefined) throw new Failure('target', 'resolve', 'ENOTFOUND', Reply.hostUnreachable);
    const host = formatIp(ip);
    session.address = host;
    session.client.write(machine.reply(Reply.succeeded, { host, port: 0 }));
  }
  state.sessions.logGrant(session);
  return { by: 'none', phase: 'resolve' };
}
