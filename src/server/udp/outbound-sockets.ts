import { setTimeout as delay } from 'node:timers/promises';
import { egressFrom, isThere } from '../../net/egress.ts';
import type { Peer, UdpSocket } from '../../net/engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import { classify } from '../../policy/classify.ts';
import { firstFromHere, wayFromHere } from '../../route/addresses.ts';
import type { RoutedPermit } from '../../route/judge.ts';
import type { UpstreamOptions } from '../../route/options.ts';
import { placeOf } from '../../route/options.ts';
import { describeDirect, describePath } from '../../route/outbound.ts';
import { leaveAlike } from '../../route/routes.ts';
import type { Route } from '../../route/routes.ts';
import type { AssociationOwner, UpstreamAssociation } from '../../route/udp-chain.ts';
import { addressOf, formatAddress } from '../../wire/address.ts';
import { familyOf, formatIp, parseIp, unspecified, withoutZone } from '../../wire/ip.ts';
import { Failure } from '../failure.ts';
import type { Session } from '../session/session.ts';
import type { ServerState } from '../session/state.ts';
import { StopSignal } from '../session/stop-signal.ts';
import type { UdpPath } from './udp-path.ts';

/**
 * Minimum milliseconds between two attempts to associate with the servers of a route, and between two checks
 * of a socket's address.
 */
const RETRY_DELAY = 1000;

/** The state that is used to open sockets. */
type Sockets = Pick<ServerState, 'engine' | 'outbound' | 'policy' | 'ports' | 'timeouts'>;

/** The association, as its sockets see it. */
interface Inside {
  /** A datagram directly from a destination. */
  received(buffer: Uint8Array, start: number, end: number, from: Peer): void;
  receivedUpstream(answer: UpstreamReply): void;
  /** `why` is one of garter's own reasons, or an error code. */
  dropped(why: string): void;
  /** This socket can no longer be used. */
  lost(socket: UdpSocket): void;
}

/** A datagram that came through upstreams. */
export interface UpstreamReply {
  readonly buffer: Uint8Array;
  /** Its header, and the data behind that. */
  readonly start: number;
  readonly dataStart: number;
  readonly end: number;
  /** The sender, under the keys by which destinations may know it. */
  readonly from: readonly string[];
}

/** An open socket. */
interface LocalSocket {
  readonly close: () => void;
  /** Makes the next destination open another. */
  readonly forget: () => void;
  readonly freePort: () => void;
}

type UpstreamPermit = RoutedPermit & { readonly upstream: UpstreamOptions };

/** Shared by all destinations of a route. */
interface UpstreamSocket {
  readonly route: Route;
  /** Resolves to `undefined` when datagrams leave directly; then they all do. */
  association: Promise<UpstreamAssociation | undefined> | undefined;
  triedAt: number;
}

/**
 * The outbound side of one association: a socket per local address for direct routes, and an upstream
 * association per route. Each is opened on first use.
 */
export class OutboundSockets {
  readonly #session: Session;
  readonly #state: Sockets;
  readonly #inside: Inside;
  readonly #sockets = new Map<string, Promise<UdpSocket>>();
  readonly #upstreams: UpstreamSocket[] = [];
  readonly #open = new Map<UdpSocket, LocalSocket>();
  /** For the record. */
  readonly #routes = new Set<string>();
  readonly #closing = new StopSignal();

  constructor(session: Session, state: Sockets, inside: Inside) {
    this.#session = session;
    this.#state = state;
    this.#inside = inside;
  }

  async pathTo(routed: RoutedPermit): Promise<UdpPath> {
    const { permit, route, addresses, upstream } = routed;
    const { destination } = permit;
    const { port } = destination;
    const association = upstream && (await this.#associationBy({ ...routed, upstream }));
    if (association === undefined) {
      return firstFromHere(addresses, async (host) => {
        // Datagrams have no handshake, so the kernel is asked for a route beforehand. With only one address,
        // sending will report the error; and the kernel's routes do not apply to an egress.
        if (addresses.length > 1 && route.egress === undefined) wayFromHere(host);
        const socket = await this.#socketTowards(host, route);
        this.#note(describeDirect(route));
        const peer = socket.peer({ host, port });
        return { socket, peer, header: undefined, ip: parseIp(host), answers: peer.key };
      });
    }
    const { socket, relay, servers, family } = association;
    this.#note(describePath(route, servers.map(placeOf)));
    // The reach of the last server is unknown; assume the family of its relay.
    const ip = addresses.find((one) => one.family === family) ?? addresses[0];
    const isPassedOn = destination.type === 'name' && ip === undefined;
    const host = isPassedOn ? destination.name : formatIp(ip!);
    const header = association.headerFor(addressOf(host, port));
    return {
      socket,
      peer: relay,
      header,
      ip,
      answers: upstreamKey(socket, isPassedOn ? ANY_HOST : host, port),
    };
  }

  /** Closes sockets without destinations. */
  closeUnused(used: ReadonlySet<UdpSocket>): void {
    for (const [socket, { close, forget }] of this.#open) {
      if (used.has(socket)) continue;
      forget();
      this.#free(socket);
      close();
    }
  }

  close(): void {
    this.#closing.abort(new Failure('none', 'relay'));
    for (const socket of this.#open.keys()) this.#free(socket);
    const open: readonly (Promise<UdpSocket | UpstreamAssociation | undefined> | undefined)[] = [
      ...this.#sockets.values(),
      ...this.#upstreams.map(({ association }) => association),
    ];
    for (const one of open) {
      one?.then(
        (opened) => opened?.close(),
        () => {}, // it never opened
      );
    }
  }

  #note(route: string): void {
    this.#routes.add(route);
    this.#session.goesBy([...this.#routes].join(','));
  }

  /** A socket of the family of a literal address, bound to the route's local address. */
  #socketTowards(host: string, { egress }: Route): Promise<UdpSocket> {
    const from = egress && egressFrom(egress, this.#session.client.local.host)(host);
    const local = from ?? unspecified(familyOf(host));
    let socket = this.#sockets.get(local);
    if (socket === undefined) {
      socket = this.#openSocket(local);
      this.#sockets.set(local, socket);
      // After a failure, the next destination tries again.
      socket.catch(() => this.#sockets.delete(local));
    }
    return socket;
  }

  async #openSocket(host: string): Promise<UdpSocket> {
    let lookedAt = performance.now();
    const socket: UdpSocket = await this.#state.engine.udp(
      { host, port: 0 },
      {
        received: (buffer, start, end, from) => this.#inside.received(buffer, start, end, from),
        failed: (code) => {
          this.#inside.dropped(code);
          // The error may be the destination's, or the interface has lost its address: check, at most once a
          // second.
          if (code !== 'ENODEV') {
            if (performance.now() - lookedAt < RETRY_DELAY) return;
            lookedAt = performance.now();
            if (isThere(host)) return;
          }
          this.#sockets.delete(host);
          this.#lose(socket, socket);
        },
      },
    );
    this.#hold(socket, socket, () => this.#sockets.delete(host));
    return socket;
  }

  #associationBy(routed: UpstreamPermit): Promise<UpstreamAssociation | undefined> {
    const { route } = routed;
    let entry = this.#upstreams.find((one) => leaveAlike(one.route, route));
    if (entry === undefined) {
      entry = { route, association: undefined, triedAt: -Infinity };
      this.#upstreams.push(entry);
    }
    if (entry.association === undefined) {
      const forget = (): void => void (entry.association = undefined);
      entry.association = this.#associate(routed, entry, forget);
      entry.association.catch(forget);
    }
    return entry.association;
  }

  async #associate(
    routed: UpstreamPermit,
    entry: UpstreamSocket,
    forget: () => void,
  ): Promise<UpstreamAssociation | undefined> {
    const wait = entry.triedAt + RETRY_DELAY - performance.now();
    if (wait > 0) await delay(wait, undefined, { ref: false });
    this.#closing.throwIfAborted();
    entry.triedAt = performance.now();
    const deadline = entry.triedAt + this.#state.timeouts.connect;
    const owner: AssociationOwner = {
      mayBeRelay: (relay, server) => this.#mayBeRelay(relay, server),
      received: (buffer, start, dataStart, end, { host, port }) => {
        const { socket } = association!;
        const from = [upstreamKey(socket, host, port), upstreamKey(socket, ANY_HOST, port)];
        this.#inside.receivedUpstream({ buffer, start, dataStart, end, from });
      },
      strange: () => this.#inside.dropped('unasked'),
      failed: (code) => {
        this.#inside.dropped(code);
        if (code !== 'ENODEV') return;
        forget();
        this.#lose(association!.socket, association!);
      },
      lost: (lost) => {
        forget();
        this.#lose(lost.socket, lost);
      },
    };
    const association: UpstreamAssociation | undefined = await this.#state.outbound.associate(
      routed,
      this.#session,
      { deadline, signal: this.#closing },
      owner,
    );
    if (association === undefined) return undefined;
    if (association.isClosed) throw new Failure('upstream', 'request', 'closed');
    this.#hold(association.socket, association, forget);
    return association;
  }

  /**
   * A server may have its relay elsewhere, but must not direct datagrams to this machine or to special
   * addresses.
   */
  #mayBeRelay({ host, port }: Endpoint, server: Endpoint): boolean {
    const { ports, policy } = this.#state;
    const ip = parseIp(host)!;
    if (ports.isOwnPort(ip, port, 'udp')) return false;
    return host === withoutZone(server.host) || !classify(ip, policy.special, policy.nat64, ports).special;
  }

  /**
   * The port counts as garter's own while the socket is open. The session may have ended while it was being
   * opened.
   */
  #hold(socket: UdpSocket, opened: { close(): void }, forget: () => void): void {
    if (this.#closing.aborted) opened.close();
    else {
      const freePort = this.#state.ports.add(socket.local, 'udp');
      this.#open.set(socket, { close: () => opened.close(), forget, freePort });
    }
  }

  /** The next datagram opens a new path. */
  #lose(socket: UdpSocket, opened: { close(): void }): void {
    opened.close();
    this.#free(socket);
    this.#inside.lost(socket);
  }

  #free(socket: UdpSocket): void {
    this.#open.get(socket)?.freePort();
    this.#open.delete(socket);
  }
}

/** Replaces the address of a name that an upstream resolves. */
const ANY_HOST = '*';

/** The key of a peer that answers through upstreams. */
function upstreamKey({ local }: UdpSocket, host: string, port: number): string {
  return `${formatAddress(local)} ${host} ${port}`;
}
