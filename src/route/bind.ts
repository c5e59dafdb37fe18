import { egressFrom } from '../net/egress.ts';
import type { Connection, Engine } from '../net/engine.ts';
import type { Endpoint, HostPort } from '../wire/address.ts';
import { AddressType } from '../wire/address.ts';
import { familyOf, ipOf, isLoopback, unspecified, withZone } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { Reply } from '../wire/socks5.ts';
import { firstFromHere, wayFromHere } from './addresses.ts';
import { boundAt, normalised } from './dial-context.ts';
import type { Opened } from './dial-context.ts';
import { nextReply } from './driver.ts';
import { UpstreamError } from './error.ts';
import type { RoutedPermit } from './judge.ts';

/** Requirements of a port that awaits one peer. */
export interface BindOptions {
  /** SOCKS4 replies have no room for other addresses. */
  readonly ipv4Only: boolean;
  /** The network interface to which the client listener is bound; the port for peers is bound to it too. */
  readonly device: string | undefined;
  /** Whether a peer is acceptable. Another is closed; on this machine, the next one then gets its chance. */
  readonly accepts: (remote: HostPort) => boolean;
  /** Marks the port as garter's own until the returned function is called. */
  readonly own: (port: Endpoint) => () => void;
  /** Opens a port of a range at this address. @default any free port */
  readonly atPort?: <T>(host: string, open: (port: number) => Promise<T>) => Promise<AtPort<T>>;
}

/** `release` is called once it is closed. */
interface AtPort<T> {
  readonly opened: T;
  readonly release: () => void;
}

/** A port where one peer is awaited. */
export interface BoundPort {
  /** The address to which the peer must connect. */
  readonly bound: HostPort;
  /** The accepted peer. Rejects once none can arrive any more. */
  readonly peer: Promise<AwaitedPeer>;
  /** Ends the wait; a peer that has arrived keeps its connection. */
  close(): Promise<void>;
}

export interface AwaitedPeer {
  readonly connection: Connection;
  readonly remote: HostPort;
}

/** Opens the port on this machine. */
export async function awaitPeerHere(
  routed: RoutedPermit,
  clientSide: string,
  engine: Engine,
  options: BindOptions,
): Promise<BoundPort> {
  const { promise: peer, resolve, reject } = Promise.withResolvers<AwaitedPeer>();
  // It is awaited only later, and may have rejected by then.
  peer.catch(() => {});
  let isWaiting = true;
  const arrived = (connection: Connection): void => {
    const { remote } = connection;
    if (!isWaiting || !options.accepts(remote)) return connection.destroy();
    isWaiting = false;
    resolve({ connection, remote });
  };
  const failed = (code: string): void => reject(Object.assign(new Error(`accept ${code}`), { code }));
  const { atPort = atAnyPort } = options;
  const { opened: listener, release } = await openTowards(routed, clientSide, options, (host) =>
    atPort(host, (port) => engine.listen({ host, port }, arrived, failed)),
  );
  const disown = options.own(listener.local);
  const close = async (): Promise<void> => {
    isWaiting = false;
    disown();
    await listener.close();
    release();
  };
  return { bound: listener.local, peer, close };
}

async function atAnyPort<T>(_host: string, open: (port: number) => Promise<T>): Promise<AtPort<T>> {
  return { opened: await open(0), release: () => {} };
}

/** Listens where the peer can be expected: at the route's local address towards it. */
async function openTowards<T>(
  { permit, route, addresses }: RoutedPermit,
  clientSide: string,
  { ipv4Only, device }: BindOptions,
  listenAt: (host: string) => Promise<T>,
): Promise<T> {
  const family = familyOf(clientSide);
  const fits = (one: 4 | 6): boolean => one === 4 || !ipv4Only;
  const egress = route.egress && egressFrom(route.egress, clientSide);
  const isNamed = permit.addresses.length > 0;
  // An unspecified peer can have either family; most likely it has the client's. And a listener that is bound
  // to one interface receives peers only there.
  if (egress === undefined && (!isNamed || device !== undefined) && fits(family))
    return listenAt(withZone(clientSide, device));
  const towards = (isNamed ? addresses : likelyPeers(clientSide)).filter((one) => fits(one.family));
  try {
    return await firstFromHere(towards, (one) =>
      listenAt(egress?.(one) ?? withZone(wayFromHere(one), device)),
    );
  } catch (error) {
    // A link-local address without its zone has no route: assume that the peer is on the client's network.
    if (egress !== undefined || !towards.some((one) => one.family === family)) throw error;
    return listenAt(clientSide);
  }
}

/** The peer of a client on this machine may be on another. */
function likelyPeers(clientSide: string): readonly Ip[] {
  const family = familyOf(clientSide);
  const near = isLoopback(clientSide) ? unspecified(family) : clientSide;
  return [near, unspecified(family === 4 ? 6 : 4)].map((one) => ipOf(one)!);
}

/** Waits at the last server of a route, which has sent its first reply. That server accepts one peer only. */
export function awaitPeerThere(asked: Opened, { ipv4Only, accepts }: BindOptions): BoundPort {
  const { stream, handshake, servers } = asked;
  const { label } = servers.at(-1)!;
  const at = boundAt(asked);
  let isTaken = false;
  const close = async (): Promise<void> => {
    if (!isTaken) stream.destroy();
  };
  // 0.0.0.0 would mean this machine.
  if (ipv4Only && at.type !== AddressType.ipv4) {
    stream.destroy();
    throw new UpstreamError('unable', label, 'address-type', Reply.addressTypeNotSupported);
  }
  const arrival = async (): Promise<AwaitedPeer> => {
    const { ok, reply, bound } = await nextReply(stream, handshake, label, () => {});
    if (!ok) throw new UpstreamError('reply', label, `reply-${reply}`, reply);
    const remote = normalised(bound);
    if (!accepts(remote)) throw new UpstreamError('reply', label, 'wrong-peer');
    isTaken = true;
    return { connection: stream, remote };
  };
  const peer = arrival();
  peer.catch(() => {});
  return { bound: at.type === AddressType.name ? asked.bound : at, peer, close };
}
