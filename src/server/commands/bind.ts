import type { RequestEvent } from '../../handshake/protocol.ts';
import type { ServerHandshake } from '../../handshake/server.ts';
import type { Permit } from '../../policy/decide.ts';
import type { AwaitedPeer } from '../../route/bind.ts';
import { judgeOpen } from '../../route/judge.ts';
import type { RoutedPermit, Ruling } from '../../route/judge.ts';
import type { HostPort } from '../../wire/address.ts';
import { familyOf, ipOf, isWildcard, sameIp, unmapped } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import { Reply } from '../../wire/socks5.ts';
import { advertisedAt } from '../listen/advertise.ts';
import { destinationOf, isUnspecified } from '../destination.ts';
import { Failure } from '../failure.ts';
import { acquireLimits, admitSome, authorize } from '../session/authorize.ts';
import { relay } from '../session/relay.ts';
import type { Session } from '../session/session.ts';
import type { Counting, Deciding, Relaying, ServerState } from '../session/state.ts';

/**
 * BIND (RFC 1928 section 4; SOCKS4): waits for one connection from the named host, here or at the last server
 * of its route, and relays it.
 */
export async function bind(
  session: Session,
  handshake: ServerHandshake,
  request: RequestEvent,
  state: Deciding & Counting & Relaying & Pick<ServerState, 'relayPorts'>,
): Promise<undefined> {
  const anybody = isUnspecified(request.destination);
  const destination = anybody ? undefined : destinationOf(request.destination);
  const routed = await authorize(session, 'bind', destination, state);
  if (destination === undefined) admitSome(session, 'bind', routed.permit);
  else acquireLimits(session, 'bind', destination, routed.permit, state);

  session.enters('bind');
  if (session.clientEnded) throw new Failure('client', 'bind');
  const { peer, permit } = await awaitPeer(session, handshake, request, routed, state);
  const { connection, remote } = peer;
  session.reaches(remote);
  if (anybody) {
    // The peer is known only now.
    try {
      acquireLimits(session, 'bind', permit.destination, permit, state);
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }
  session.client.write(handshake.reply(Reply.succeeded, remote));
  relay(session, handshake, connection, permit, state);
}

/** Opens a port, sends the first reply, and waits for the right peer. */
async function awaitPeer(
  session: Session,
  handshake: ServerHandshake,
  request: RequestEvent,
  routed: RoutedPermit,
  state: Deciding & Pick<ServerState, 'relayPorts'>,
): Promise<{ readonly peer: AwaitedPeer; readonly permit: Permit }> {
  const { promise: ended, reject: end } = Promise.withResolvers<never>();
  // It has no handler until it is awaited below.
  ended.catch(() => {});
  const isHere = routed.upstream === undefined;
  const ipv4Only = request.protocol === 'socks4';
  let { permit } = routed;
  const port = await state.outbound.bind(routed, session, performance.now() + state.timeouts.connect, {
    ipv4Only,
    device: session.listener.interface,
    own: (endpoint) => state.ports.add(endpoint, 'tcp'),
    atPort: (host, open) => state.relayPorts.open('tcp', host, session.listener.bind?.ports, open),
    accepts: (remote) => {
      const decision = decideAbout(remote, session, routed.permit, state);
      if (decision?.type === 'allow') {
        ({ permit } = decision);
        return true;
      }
      // In SOCKS4 a wrong peer ends the wait; in SOCKS5 a stranger who is quicker cannot spoil it. At a
      // server there is only one peer.
      if (!isHere) session.reaches(remote);
      if (isHere && ipv4Only) end(new Failure('target', 'bind', 'wrong-peer'));
      else if (!isHere && decision !== undefined) end(Failure.refusal(decision.reason, 'bind'));
      return false;
    },
  });
  const endWait = limitWait(session, state, end);
  try {
    session.signal.throwIfAborted();
    session.bindsAt(port.bound);
    const bound = isHere ? await announced(port.bound, ipv4Only, session, state) : port.bound;
    session.client.write(handshake.reply(Reply.succeeded, bound));
    return { peer: await Promise.race([port.peer, ended]), permit };
  } finally {
    endWait();
    await port.close();
  }
}

/** The port as the client is to know it. */
async function announced(
  bound: HostPort,
  ipv4Only: boolean,
  session: Session,
  state: Deciding,
): Promise<HostPort> {
  const { advertise } = session.listener.bind ?? {};
  if (advertise === undefined) return bound;
  const advertised = await advertisedAt(bound, session, advertise, state);
  return ipv4Only && familyOf(advertised.host) === 6 ? bound : advertised;
}

/** Ends a wait when its time is over or the session ends, until the returned function is called. */
function limitWait(session: Session, { timeouts }: Deciding, end: (why: Failure) => void): () => void {
  const { signal } = session;
  const timer = setTimeout(
    () => end(new Failure('timeout', 'bind', undefined, Reply.ttlExpired)),
    timeouts.bind,
  );
  const stopped = (): void => end(signal.reason as Failure);
  signal.addEventListener('abort', stopped);
  return () => {
    signal.removeEventListener('abort', stopped);
    clearTimeout(timer);
  };
}

/**
 * Whether this peer is acceptable: it must be the named host or, if none was named, one that the rules allow.
 * `undefined`: it is not the named host.
 */
function decideAbout(
  { host, port }: HostPort,
  session: Session,
  permit: Permit,
  state: Deciding,
): Ruling | undefined {
  const named = { type: 'allow', permit } as const;
  // Only the last server knows the address behind a name, and it may report an unspecified address for the
  // named host.
  if (permit.destination.type === 'name' && permit.addresses.length === 0) return named;
  const ip = ipOf(host);
  if (ip === undefined) return undefined;
  if (permit.addresses.length > 0)
    return isWildcard(host) || permit.addresses.some((address) => isSame(address, ip)) ? named : undefined;
  return judgeOpen(state, session.facts('bind'), { type: 'ip', ip, port }, [ip]);
}

function isSame(a: Ip, b: Ip): boolean {
  return sameIp(unmapped(a), unmapped(b));
}
