import type { End } from '../../audit/record.ts';
import type { Passage } from '../../route/dial.ts';
import type { RequestEvent, ServerSession } from '../../handshake/server.ts';
import { formatIp, parseIp } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import { Command, Reply } from '../../wire/socks5.ts';
import { destinationOf } from '../destination.ts';
import { Failure } from '../failure.ts';
import { admit, obtainPassage } from '../session/authorize.ts';
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
  const passage = await obtainPassage(session, 'resolve', destination, state);
  admit(session, 'resolve', destination, passage.permit, state);
  session.phase = 'resolve';
  if (backwards) {
    const host = await nameOf(session, passage, state);
    session.client.write(machine.reply(Reply.succeeded, { host, port: 0 }));
  } else {
    const addresses = await addressesOf(session, passage, state);
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

async function nameOf(session: Session, passage: Passage, state: ServerState): Promise<string> {
  if (passage.route.passesNames) return askFar(session, Command.resolvePtr, passage, state);
  const { signal } = session;
  const resolver = passage.route.resolver ?? state.resolver;
  return resolver.reverse(passage.permit.addresses[0]!, { source: session.asker, signal });
}

async function addressesOf(session: Session, passage: Passage, state: ServerState): Promise<readonly Ip[]> {
  const { addresses } = passage.permit;
  if (addresses.length > 0) return addresses;
  const ip = parseIp(await askFar(session, Command.resolve, passage, state));
  return ip === undefined ? [] : [ip];
}

/** The answer of the last server. */
async function askFar(
  session: Session,
  command: typeof Command.resolve | typeof Command.resolvePtr,
  passage: Passage,
  state: ServerState,
): Promise<string> {
  const deadline = performance.now() + state.timeouts.connect;
  const { stream, bound } = await ask(session, command, passage, deadline, state);
  stream.destroy();
  return bound.host;
}
