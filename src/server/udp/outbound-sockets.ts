import { setTimeout as delay } from 'node:timers/promises';
import { egressFrom, isThere } from '../../net/egress.ts';
import type { Peer, UdpSocket } from '../../net/engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import { classify } from '../../policy/classify.ts';
import { firstFromHere, wayFromHere } from '../../route/addresses.ts';
import type { RoutedPermit } from '../../route/judge.ts';
import type { UpstreamOptions } from '../../route/options.ts';
import { describePath } from '../../route/outbound.ts';
import type { Route } from '../../route/routes.ts';
import type { AssociationOwner, UpstreamAssociation } from '../../route/udp-chain.ts';
import { addressOf, formatAddress } from '../../wire/address.ts';
import { familyOf, formatIp, parseIp, unspecified, withoutZone } from '../../wire/ip.ts';
import { Failure } from '../failure.ts';
import type { Session } from '../session/session.ts';
import type { ServerState } from '../session/state.ts';
import { StopSignal } from '../session/stop-signal.ts';
import type { UdpPath } from './udp-path.ts';

/** Milliseconds from one attempt to associate with the servers of a route to the next, and from one look at a socket's address to the next. */
const RETRY_DELAY = 1000;

/** What sockets are opened with. */
type Sockets = Pick<ServerState, 'engine' | 'outbound' | 'policy' | 'ports' | 'timeouts'>;

/** What these sockets tell their association. */
interface Inside {
  /** Directly from a destination. */
  received(buffer: Uint8Array, start: number, end: number, from: Peer): void;
  receivedUpstream(answer: UpstreamReply): void;
  /** `why` is a reason of its own, or the code of what failed. */
  dropped(why: string): void;
  /** There is no way by this socket any more. */
  lost(socket: UdpSocket): void;
}

/** A datagram that came through upstreams. */
export interface UpstreamReply {
  readonly buffer: Uint8Array;
  /** Its header, and the data behind that. */
  readonly start: number;
  readonly dataStart: number;
  readonly end: number;
  /** The sender, as destinations may know it. */
  readonly from: readonly string[];
}

/** What is open. */
interface LocalSocket {
  readonly close: () => void;
  /** The next destination opens another. */
  readonly forget: () => void;
  readonly freePort: () => void;
}

type UpstreamPermit = RoutedPermit & { readonly upstream: UpstreamOptions };

/** For all destinations of a route. */
interface UpstreamSocket {
  readonly route: Route;
  association: Promise<UpstreamAssociation> | undefined;
  triedAt: number;
}

/**
 * Where the datagrams of one association leave garter: for direct routes by one socket for each local address, through upstreams
 * by an association of its own for each route. Each is opened when it is first needed.
 */
export class OutboundSockets {
  readonly #session: Session;
  readonly #state: Sockets;
  readonly #inside: Inside;
  readonly #sockets = new Map<string, Promise<UdpSocket>>();
  readonly #far: UpstreamSocket[] = [];
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
    if (upstream === undefined) {
      return firstFromHere(addresses, async (host) => {
        // Nobody answers a datagram, so the kernel is asked before one is sent. Where there is no choice it will say so then, and
        // what an egress leads to it does not know.
        if (addresses.length > 1 && route.egress === undefined) wayFromHere(host);
        const socket = await this.#socketTowards(host, route);
        this.#note(route.label);
        const peer = socket.peer({ host, port });
        return { socket, peer, header: undefined, ip: parseIp(host), answers: peer.key };
      });
    }
    const association = await this.#associationBy({ ...routed, upstream });
    const { socket, relay, servers, family } = association;
    this.#note(describePath(route, servers));
    // What the last server can reach nobody knows; but it has the family of its relay.
    const ip = addresses.find((one) => one.family === family) ?? addresses[0];
    const isPassedOn = destination.type === 'name' && ip === undefined;
    const host = isPassedOn ? destination.name : formatIp(ip!);
    const header = association.headerFor(addressOf(host, port));
    return { socket, peer: relay, header, ip, answers: farKey(socket, isPassedOn ? ANYBODY : host, port) };
  }

  /** Closes those that no destination is behind. */
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
    const open: readonly (Promise<UdpSocket | UpstreamAssociation> | undefined)[] = [
      ...this.#sockets.values(),
      ...this.#far.map(({ association }) => association),
    ];
    for (const one of open) {
      one?.then(
        (exit) => exit.close(),
        () => {}, // it never opened
      );
    }
  }

  #note(route: string): void {
    this.#routes.add(route);
    this.#session.goesBy([...this.#routes].join(','));
  }

  /** Of the family of a literal address, and with the local one that the route wants. */
  #socketTowards(host: string, { egress }: Route): Promise<UdpSocket> {
    const from = egress && egressFrom(egress, this.#session.client.local.host)(host);
    const local = from ?? unspecified(familyOf(host));
    let socket = this.#sockets.get(local);
    if (socket === undefined) {
      socket = this.#openSocket(local);
      this.#sockets.set(local, socket);
      // One that fails is tried again by the next destination.
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
          // It may be the destination's, or the interface has another address now; one look a second is enough.
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

  #associationBy(routed: UpstreamPermit): Promise<UpstreamAssociation> {
    const { route } = routed;
    let exit = this.#far.find((one) => one.route.via === route.via && one.route.egress === route.egress);
    if (exit === undefined) {
      exit = { route, association: undefined, triedAt: -Infinity };
      this.#far.push(exit);
    }
    if (exit.association === undefined) {
      const forget = (): void => void (exit.association = undefined);
      exit.association = this.#associate(routed, exit, forget);
      exit.association.catch(forget);
    }
    return exit.association;
  }

  async #associate(
    routed: UpstreamPermit,
    exit: UpstreamSocket,
    forget: () => void,
  ): Promise<UpstreamAssociation> {
    const wait = exit.triedAt + RETRY_DELAY - performance.now();
    if (wait > 0) await delay(wait, undefined, { ref: false });
    this.#closing.throwIfAborted();
    exit.triedAt = performance.now();
    const deadline = exit.triedAt + this.#state.timeouts.connect;
    const owner: AssociationOwner = {
      mayBeRelay: (relay, server) => this.#mayBeRelay(relay, server),
      received: (buffer, start, dataStart, end, { host, port }) => {
        const { socket } = association;
        const from = [farKey(socket, host, port), farKey(socket, ANYBODY, port)];
        this.#inside.receivedUpstream({ buffer, start, dataStart, end, from });
      },
      strange: () => this.#inside.dropped('unasked'),
      failed: (code) => {
        this.#inside.dropped(code);
        if (code !== 'ENODEV') return;
        forget();
        this.#lose(association.socket, association);
      },
      lost: (lost) => {
        forget();
        this.#lose(lost.socket, lost);
      },
    };
    const association: UpstreamAssociation = await this.#state.outbound.associate(
      routed,
      this.#session,
      { deadline, signal: this.#closing },
      owner,
    );
    if (association.isClosed) throw new Failure('upstream', 'request', 'closed');
    this.#hold(association.socket, association, forget);
    return association;
  }

  /** A server may have its relay elsewhere, but no server leads datagrams to this machine or where they have no business. */
  #mayBeRelay({ host, port }: Endpoint, server: Endpoint): boolean {
    const { ports, policy } = this.#state;
    const ip = parseIp(host)!;
    if (ports.isOwnPort(ip, port, 'udp')) return false;
    return host === withoutZone(server.host) || !classify(ip, policy.special, policy.nat64, ports).special;
  }

  /** Its port is garter's own as long as it is open. The session may have ended while it was being opened. */
  #hold(socket: UdpSocket, exit: { close(): void }, forget: () => void): void {
    if (this.#closing.aborted) exit.close();
    else {
      const freePort = this.#state.ports.add(socket.local, 'udp');
      this.#open.set(socket, { close: () => exit.close(), forget, freePort });
    }
  }

  /** What is sent next finds another way. */
  #lose(socket: UdpSocket, exit: { close(): void }): void {
    exit.close();
    this.#free(socket);
    this.#inside.lost(socket);
  }

  #free(socket: UdpSocket): void {
    this.#open.get(socket)?.freePort();
    this.#open.delete(socket);
  }
}

/** In place of the address of a name that an upstream resolves. */
const ANYBODY = '*';

/** Who may answer through upstreams. */
function farKey({ local }: UdpSocket, host: string, port: number): string {
  return `${formatAddress(local)} ${host} ${port}`;
}
