import type { Connection } from '../net/engine.ts';
import { sourceFor } from '../net/source.ts';
import { decide } from '../policy/decide.ts';
import type { Permit } from '../policy/decide.ts';
import type { RequestEvent, ServerSession } from '../session/server.ts';
import { embeddedIpv4, formatIp, parseIp, sameIp } from '../wire/ip.ts';
import { Reply } from '../wire/socks5.ts';
import { destinationOf, isUnspecified } from './destination.ts';
import { Failure } from './failure.ts';
import { admit, obtainPermitHere, obtainSomePermit } from './permit.ts';
import { relay } from './relay.ts';
import type { Session } from './sessions.ts';
import type { ServerState } from './state.ts';

/** BIND (RFC 1928 section 4; SOCKS4): waits for one connection from the host that the client names, and relays it. */
export async function bind(
  session: Session,
  machine: ServerSession,
  request: RequestEvent,
  state: ServerState,
): Promise<undefined> {
  const anybody = isUnspecified(request.destination);
  const destination = anybody ? undefined : destinationOf(request.destination);
  const permit =
    destination === undefined
      ? obtainSomePermit(session, 'bind', state)
      : await obtainPermitHere(session, 'bind', destination, state);
  admit(session, 'bind', destination, permit, state);

  session.phase = 'bind';
  session.route = 'direct';
  if (session.clientEnded) throw new Failure('client', 'bind');
  const { peer, permit: grant } = await awaitPeer(session, machine, request, permit, state);
  session.address = peer.remote;
  if (anybody) {
    // Now it is known whom it is for.
    try {
      admit(session, 'bind', grant.destination, grant, state);
    } catch (error) {
      peer.destroy();
      throw error;
    }
  }
  session.client.write(machine.reply(Reply.succeeded, peer.remote));
  relay(session, machine, peer, grant, state);
}

interface Arrival {
  readonly peer: Connection;
  readonly permit: Permit;
}

/** Listens, sends the first reply, and waits until the right peer has come. */
async function awaitPeer(
  session: Session,
  machine: ServerSession,
  request: RequestEvent,
  permit: Permit,
  state: ServerState,
): Promise<Arrival> {
  const { client } = session;
  const expected = permit.addresses[0];
  const host = (expected && sourceFor(formatIp(expected))) ?? client.local.host;
  let arrived: (arrival: Arrival) => void;
  let failed: (failure: Failure) => void;
  let waiting = true;
  const arrival = new Promise<Arrival>((resolve, reject) => {
    arrived = resolve;
    failed = reject;
  });
  // Awaited below; until then nobody listens to its failure.
  arrival.catch(() => {});
  const arrive = (peer: Connection): void => {
    const grant = waiting ? permitFor(peer, session, permit, state) : undefined;
    if (grant !== undefined) {
      waiting = false;
      arrived({ peer, permit: grant });
      return;
    }
    peer.destroy();
    // SOCKS4 ends with a wrong peer; in SOCKS5 a stranger who is quicker does not spoil it.
    if (request.protocol === 'socks4') failed(new Failure('target', 'bind', 'wrong-peer'));
  };
  const listener = await state.engine.listen({ host, port: 0 }, arrive, (code) =>
    failed(new Failure('internal', 'bind', code)),
  );
  const forget = state.ports.add(listener.local, 'tcp');
  const timer = setTimeout(
    () => failed(new Failure('timeout', 'bind', undefined, Reply.ttlExpired)),
    state.timeouts.bind,
  );
  const stopped = (): void => failed(session.signal.reason as Failure);
  session.signal.addEventListener('abort', stopped);
  try {
    session.signal.throwIfAborted();
    session.bound = listener.local;
    client.write(machine.reply(Reply.succeeded, listener.local));
    return await arrival;
  } finally {
    waiting = false;
    session.signal.removeEventListener('abort', stopped);
    clearTimeout(timer);
    forget();
    await listener.close();
  }
}

/** The permit under which this peer may come in: it must be the host that was named or, where none was, one that the rules allow. */
function permitFor(
  peer: Connection,
  session: Session,
  permit: Permit,
  state: ServerState,
): Permit | undefined {
  const ip = parseIp(peer.remote.host)!;
  if (permit.addresses.length > 0) {
    return permit.addresses.some((address) => sameIp(embeddedIpv4(address), embeddedIpv4(ip)))
      ? permit
      : undefined;
  }
  const decision = decide(
    state.policy,
    session.facts('bind'),
    { type: 'ip', ip, port: peer.remote.port },
    undefined,
    state.ports,
  );
  return decision.type === 'allow' ? decision.permit : undefined;
}
