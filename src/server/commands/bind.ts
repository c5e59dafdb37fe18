import { egressFrom } from '../../net/egress.ts';
import type { Connection, Listener } from '../../net/engine.ts';
import { decide } from '../../policy/decide.ts';
import type { Decision, Permit } from '../../policy/decide.ts';
import type { Protocol } from '../../policy/policy.ts';
import { firstFromHere, wayFromHere } from '../../route/addresses.ts';
import { awaitPeerThrough } from '../../route/dial.ts';
import type { RoutedPermit } from '../../route/dial.ts';
import { boundAt } from '../../route/dial-context.ts';
import type { RequestEvent, ServerSession } from '../../handshake/server.ts';
import { AddressType } from '../../wire/address.ts';
import type { HostPort } from '../../wire/address.ts';
import {
  familyOf,
  ipOf,
  isLoopback,
  isWildcard,
  sameIp,
  unmapped,
  unspecified,
  withZone,
} from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import { Command, Reply } from '../../wire/socks5.ts';
import { destinationOf, isUnspecified } from '../destination.ts';
import { Failure } from '../failure.ts';
import { acquireLimits, admitSome, authorize, authorizeSome } from '../session/authorize.ts';
import { relay } from '../session/relay.ts';
import type { Session } from '../session/session.ts';
import type { ServerState } from '../session/state.ts';
import { ask } from '../session/way-out.ts';

/**
 * BIND (RFC 1928 section 4; SOCKS4): waits for one connection from the host that the client names, here or at the last server of
 * its route, and relays it.
 */
export async function bind(
  session: Session,
  machine: ServerSession,
  request: RequestEvent,
  state: ServerState,
): Promise<undefined> {
  const anybody = isUnspecified(request.destination);
  const destination = anybody ? undefined : destinationOf(request.destination);
  const routed =
    destination === undefined
      ? authorizeSome(session, 'bind', state)
      : await authorize(session, 'bind', destination, state);
  if (destination === undefined) admitSome(session, 'bind', routed.permit);
  else acquireLimits(session, 'bind', destination, routed.permit, state);

  session.phase = 'bind';
  session.route = routed.route.label;
  if (session.clientEnded) throw new Failure('client', 'bind');
  const { peer, address, permit } =
    routed.route.via === 'direct'
      ? await awaitPeer(session, machine, request, routed, state)
      : await awaitPeerFar(session, machine, request, routed, state);
  session.address = address;
  if (anybody) {
    // Now it is known whom it is for.
    try {
      acquireLimits(session, 'bind', permit.destination, permit, state);
    } catch (error) {
      peer.destroy();
      throw error;
    }
  }
  session.client.write(machine.reply(Reply.succeeded, address));
  relay(session, machine, peer, permit, state);
}

interface Arrival {
  readonly peer: Connection;
  readonly address: HostPort;
  readonly permit: Permit;
}

/** Listens, sends the first reply, and waits until the right peer has come. */
async function awaitPeer(
  session: Session,
  machine: ServerSession,
  request: RequestEvent,
  routed: RoutedPermit,
  state: ServerState,
): Promise<Arrival> {
  const { client } = session;
  const { permit } = routed;
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
    const decision = waiting ? decideAbout(peer.remote, session, permit, state) : undefined;
    if (decision?.type === 'allow') {
      waiting = false;
      arrived({ peer, address: peer.remote, permit: decision.permit });
      return;
    }
    peer.destroy();
    // SOCKS4 ends with a wrong peer; in SOCKS5 a stranger who is quicker does not spoil it.
    if (request.protocol === 'socks4') failed(new Failure('target', 'bind', 'wrong-peer'));
  };
  const listener = await openTowards(session, request, routed, (host) =>
    state.engine.listen({ host, port: 0 }, arrive, (code) => failed(new Failure('internal', 'bind', code))),
  );
  const forget = state.ports.add(listener.local, 'tcp');
  const endWait = limitWait(session, state, (failure) => failed(failure));
  try {
    session.signal.throwIfAborted();
    session.bound = listener.local;
    client.write(machine.reply(Reply.succeeded, listener.local));
    return await arrival;
  } finally {
    waiting = false;
    endWait();
    forget();
    await listener.close();
  }
}

/** Listens where the peer can be expected: at the local address towards it that the route wants. */
async function openTowards(
  { client, listener: { interface: device } }: Session,
  { protocol }: RequestEvent,
  { permit, route, addresses }: RoutedPermit,
  listenAt: (host: string) => Promise<Listener>,
): Promise<Listener> {
  const { host } = client.local;
  const family = familyOf(host);
  const egress = route.egress && egressFrom(route.egress, host);
  const isNamed = permit.addresses.length > 0;
  // A peer that is not named may have either family; most likely it has the client's. And a listener that hears clients by one
  // interface only hears peers there too.
  if (egress === undefined && (!isNamed || device !== undefined) && isTold(protocol, family))
    return listenAt(withZone(host, device));
  // The peer of a client on this machine may be elsewhere.
  const likely = [isLoopback(host) ? unspecified(family) : host, unspecified(family === 4 ? 6 : 4)].map(
    (one) => ipOf(one)!,
  );
  const towards = (isNamed ? addresses : likely).filter((one) => isTold(protocol, one.family));
  if (towards.length === 0)
    throw new Failure('target', 'bind', 'address-type', Reply.addressTypeNotSupported);
  try {
    return await firstFromHere(towards, (one) =>
      listenAt(egress?.(one) ?? withZone(wayFromHere(one), device)),
    );
  } catch (error) {
    // A link-local address shows no way without its zone: then the peer is where the client is.
    if (egress !== undefined || !towards.some((one) => one.family === family)) throw error;
    return listenAt(host);
  }
}

/** Whether the reply has room for such an address. */
function isTold(protocol: Protocol, family: 4 | 6): boolean {
  return family === 4 || protocol !== 'socks4';
}

/** The same at the last server of a route. Whom it has let in is the only one to come. */
async function awaitPeerFar(
  session: Session,
  machine: ServerSession,
  request: RequestEvent,
  routed: RoutedPermit,
  state: ServerState,
): Promise<Arrival> {
  const deadline = performance.now() + state.timeouts.connect;
  const asked = await ask(session, Command.bind, routed, deadline, state);
  const { stream } = asked;
  const endWait = limitWait(session, state, (failure) => stream.destroy(failure));
  try {
    session.signal.throwIfAborted();
    const at = boundAt(asked);
    session.bound = at.type === AddressType.name ? asked.bound : at;
    // SOCKS4 has no room for it, and 0.0.0.0 would be this machine.
    if (request.protocol === 'socks4' && at.type !== AddressType.ipv4)
      throw new Failure('upstream', 'bind', 'address-type', Reply.addressTypeNotSupported);
    session.client.write(machine.reply(Reply.succeeded, session.bound));
    const address = await awaitPeerThrough(asked);
    const decision = decideAbout(address, session, routed.permit, state);
    if (decision?.type === 'allow') return { peer: stream, address, permit: decision.permit };
    session.address = address;
    if (decision?.type === 'refuse') throw Failure.refusal(decision.reason, 'bind');
    throw new Failure('target', 'bind', 'wrong-peer');
  } catch (error) {
    stream.destroy();
    throw error;
  } finally {
    endWait();
  }
}

/** Ends a wait when its time is over or the session is, until the returned function is called. */
function limitWait(session: Session, { timeouts }: ServerState, end: (why: Failure) => void): () => void {
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
 * Whether this peer may come in: it must be the host that was named or, where none was, one that the rules allow. `undefined`: it
 * is not the one that was named.
 */
function decideAbout(
  { host, port }: HostPort,
  session: Session,
  permit: Permit,
  state: ServerState,
): Decision | undefined {
  const named: Decision = { type: 'allow', permit };
  // Who is behind a name is known to the last server only, and an unspecified address is that of nobody else.
  if (permit.destination.type === 'name' && permit.addresses.length === 0) return named;
  const ip = ipOf(host);
  if (ip === undefined) return undefined;
  if (permit.addresses.length > 0)
    return isWildcard(host) || permit.addresses.some((address) => isSame(address, ip)) ? named : undefined;
  return decide(state.policy, session.facts('bind'), { type: 'ip', ip, port }, undefined, state.ports);
}

function isSame(a: Ip, b: Ip): boolean {
  return sameIp(unmapped(a), unmapped(b));
}
