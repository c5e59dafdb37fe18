import { UDP_HEADROOM } from '../../net/engine.ts';
import type { Peer, UdpEvents, UdpSocket } from '../../net/engine.ts';
import type { Endpoint, Address } from '../../wire/address.ts';
import type { RosterMember } from '../../net/roster.ts';
import type { RuleOptions } from '../../policy/policy.ts';
import { Reassembly } from '../../wire/reassembly.ts';
import { addressOf } from '../../wire/address.ts';
import { concat } from '../../wire/bytes.ts';
import { WireError } from '../../wire/error.ts';
import { withZone } from '../../wire/ip.ts';
import { decodeUdpHeader, encodeUdpHeader } from '../../wire/udp.ts';
import type { Associations } from '../limits/associations.ts';
import { admitsByAll, admitsDatagram } from '../limits/bandwidths.ts';
import type { ClientPort } from './client-port.ts';
import { Drops } from './drops.ts';
import { OutboundSockets } from './outbound-sockets.ts';
import type { UpstreamReply } from './outbound-sockets.ts';
import { Failure } from '../failure.ts';
import type { RelayPort } from '../listen/relay-ports.ts';
import type { Counters } from '../session/counters.ts';
import type { Session } from '../session/session.ts';
import { Shares } from './shares.ts';
import type { Associating } from '../session/state.ts';
import type { Allowed } from './udp-path.ts';
import { keyOf, Destinations } from './destinations.ts';

/** Milliseconds between two searches for idle destinations. */
const SILENT = 15_000;

/**
 * The UDP relay of one client (RFC 1928 section 7). On the client's side it has a port, its own or a shared
 * one, which accepts datagrams from the client's address only; towards the destinations it has outbound sockets, which
 * accept answers only from addresses that the client has sent to. Each destination is decided by the rules on
 * first use, and counts under the rule that allows it. Any fault in a datagram drops just that datagram.
 */
export class Association implements Counters, RosterMember {
  /** Its position among the open associations. */
  index = -1;
  /** Bytes of memory for destinations and waiting datagrams. */
  held = 0;
  sent = 0;
  received = 0;
  readonly #drops: Drops;
  readonly #session: Session;
  readonly #inside: UdpSocket;
  readonly #sockets: OutboundSockets;
  readonly #forgetPort: () => void;
  readonly #reassembly = new Reassembly();
  readonly #associations: Associations;
  readonly #shares: Shares;
  readonly #destinations: Destinations;
  readonly #clientPort: ClientPort;
  #client: Peer | undefined;
  #last: { readonly header: Uint8Array; readonly key: string; readonly address: Address } | undefined;
  #activeAt = performance.now();
  /** Milliseconds of silence that end the association while no rule is in use. */
  readonly #idle: number;
  #lookedAt = performance.now();
  #closed = false;

  /** Binds the client's side. */
  static async open(session: Session, clientPort: ClientPort, state: Associating): Promise<Association> {
    const held: { association?: Association } = {};
    const drops = new Drops();
    const { udp, interface: device } = session.listener;
    const host = withZone(session.client.local.host, device);
    const received: UdpEvents['received'] = (buffer, start, end, from) =>
      held.association?.fromClient(buffer, start, end, from);
    const port =
      udp.port === undefined
        ? await state.relayPorts.bind(host, udp.ports, { received, failed: (code) => drops.add(code) })
        : await state.sharedPorts.join(
            { host, port: udp.port },
            { host: session.remote.host, clientPort, received },
          );
    held.association = new Association(session, port, clientPort, drops, state);
    if (session.failure !== undefined) {
      held.association.close();
      throw session.failure;
    }
    return held.association;
  }

  private constructor(
    session: Session,
    { socket: inside, release }: RelayPort,
    clientPort: ClientPort,
    drops: Drops,
    state: Associating,
  ) {
    this.#session = session;
    this.#inside = inside;
    this.#clientPort = clientPort;
    this.#drops = drops;
    this.#idle = state.timeouts.udpIdle;
    this.#associations = state.associations;
    const isShared = session.listener.udp.port !== undefined;
    const forgetPort = isShared ? undefined : state.ports.add(inside.local, 'udp');
    this.#forgetPort = () => {
      forgetPort?.();
      release();
    };
    this.#sockets = new OutboundSockets(session, state, {
      received: (buffer, start, end, from) => this.#fromTarget(buffer, start, end, from),
      receivedUpstream: (answer) => this.#fromUpstream(answer),
      dropped: (why) => this.#drops.add(why),
      lost: (socket) => this.#destinations.forgetAll(socket),
    });
    this.#shares = new Shares(session, state, (share) => this.#destinations.forgetAll(share));
    this.#destinations = new Destinations(session, state, this.#shares, {
      pathTo: (routed) => this.#sockets.pathTo(routed),
      send: (entry, buffer, start, end, room, now) => this.#send(entry, buffer, start, end, room, now),
      dropped: (why) => this.#drops.add(why),
      hasRoom: (bytes) => this.#associations.makeRoom(bytes),
      holds: (bytes) => this.#hold(bytes),
    });
    session.associates(this, (revoked) => this.#destinations.recheck(revoked));
    state.associations.add(this);
  }

  /** Dropped datagrams, by reason. */
  get counts(): Drops['counts'] {
    return this.#drops.counts;
  }

  get dropped(): string | undefined {
    return this.#drops.text;
  }

  get local(): Endpoint {
    return this.#inside.local;
  }

  get used(): readonly RuleOptions[] {
    return this.#shares.used;
  }

  release(): void {
    this.#shares.close();
  }

  /**
   * Ends shares that have reached their duration, and forgets idle destinations; ends the session when all
   * are idle.
   */
  look(now: number): void {
    this.#shares.look(now);
    const idle = this.#shares.idle;
    if (now - this.#activeAt >= (idle?.most ?? this.#idle)) {
      this.#session.stop(new Failure('timeout', 'relay', 'idle'));
      return;
    }
    if (now - this.#lookedAt < Math.min(idle?.least ?? SILENT, SILENT)) return;
    this.#lookedAt = now;
    this.#destinations.forgetSilent(now);
    this.#hold(this.#reassembly.expire(now));
    this.#sockets.closeUnused(this.#destinations.sockets);
  }

  get known(): number {
    return this.#destinations.known;
  }

  forget(): void {
    this.#destinations.forgetOldest();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#associations.delete(this);
    this.#shares.close();
    this.#forgetPort();
    this.#inside.close();
    this.#sockets.close();
  }

  /** A datagram on the client's side. */
  fromClient(buffer: Uint8Array, start: number, end: number, from: Peer): void {
    const { isSettled } = this.#clientPort;
    if (from.host !== this.#session.remote.host || (isSettled && !this.#clientPort.isOf(from.port))) {
      this.#drops.add('stranger');
      return;
    }
    try {
      // Most datagrams have the same destination as the one before: an identical header is not decoded again.
      const last = this.#last;
      if (isSettled && last !== undefined && beginsWith(buffer, start, end, last.header)) {
        const size = last.header.length;
        this.#destinations.forward(last.key, last.address, buffer, start + size, end, UDP_HEADROOM + size);
        return;
      }
      const header = decodeUdpHeader(buffer, start, end);
      if (header === undefined) {
        this.#drops.add('malformed');
        return;
      }
      if (!isSettled && !this.#isClient(from)) return;
      const { address, fragment } = header.value;
      this.#client ??= from;
      const key = keyOf(address);
      const dataStart = start + header.size;
      if (fragment === 0) {
        this.#last = { header: buffer.slice(start, dataStart), key, address };
        this.#destinations.forward(key, address, buffer, dataStart, end, UDP_HEADROOM + header.size);
        return;
      }
      if (!this.#associations.makeRoom(end - dataStart)) {
        this.#drops.add('overflow');
        return;
      }
      const before = this.#reassembly.held;
      const whole = this.#reassembly.add(fragment, key, buffer.subarray(dataStart, end), performance.now());
      this.#hold(this.#reassembly.held - before);
      if (whole !== undefined) this.#destinations.forward(key, address, whole, 0, whole.length, 0);
    } catch (error) {
      if (error instanceof WireError) this.#drops.add('malformed');
      else this.#session.stop(Failure.from(error, 'relay'));
    }
  }

  #hold(bytes: number): void {
    if (bytes === 0 || this.#closed) return;
    this.held += bytes;
    this.#associations.hold(bytes);
  }

  /**
   * Whether a valid datagram is the client's. If that is undecidable, the association ends, and nothing more
   * is relayed.
   */
  #isClient(from: Peer): boolean {
    const sender = this.#clientPort.claim(from.port, performance.now());
    if (sender === 'client') {
      this.#client = from;
      return true;
    }
    this.#drops.add('stranger');
    if (sender === 'conflict') {
      this.close();
      this.#session.stop(new Failure('client', 'relay', 'port-conflict'));
    }
    return false;
  }

  #send(entry: Allowed, buffer: Uint8Array, start: number, end: number, room: number, now: number): void {
    if (this.#closed) return;
    const { socket, peer, header, share } = entry;
    if (!admitsDatagram(share.flows.send, end - start)) {
      this.#drops.add('bandwidth');
      return;
    }
    this.#activeAt = now;
    this.sent += end - start;
    share.sent += end - start;
    if (header === undefined) socket.send(buffer, start, end, peer);
    else if (header.length <= room) {
      buffer.set(header, start - header.length);
      socket.send(buffer, start - header.length, end, peer);
    } else {
      const datagram = concat(header, buffer.subarray(start, end));
      socket.send(datagram, 0, datagram.length, peer);
    }
  }

  /**
   * A datagram on the destinations' side: its header is written in front of it, in the engine's own buffer.
   */
  #fromTarget(buffer: Uint8Array, start: number, end: number, from: Peer): void {
    const entry = this.#destinations.answerer(from);
    if (!this.#mayPass(entry, end - start)) return;
    const header = entry?.answerHeader ?? headerOf(from);
    if (entry !== undefined) entry.answerHeader = header;
    const headed = start - header.length;
    buffer.set(header, headed);
    this.#inside.send(buffer, headed, end, this.#client!);
  }

  /** The same through upstreams, where the last server has written the header. */
  #fromUpstream({ buffer, start, dataStart, end, from }: UpstreamReply): void {
    let entry: Allowed | undefined;
    for (const one of from) entry ??= this.#destinations.upstreamAnswerer(one);
    if (this.#mayPass(entry, end - dataStart)) this.#inside.send(buffer, start, end, this.#client!);
  }

  /**
   * Whether an answer may be sent to the client; if so, it is counted under the rule of its destination. If
   * the destination is ambiguous, it counts under all rules in use, so that none is bypassed.
   */
  #mayPass(entry: Allowed | undefined, bytes: number): boolean {
    const isAsked =
      entry !== undefined || (this.#session.listener.udp.replies === 'any' && this.#shares.isAny);
    if (!isAsked || this.#client === undefined) {
      this.#drops.add('unasked');
      return false;
    }
    const share = entry?.isMixed === false ? entry.share : undefined;
    const mayPass =
      share === undefined
        ? admitsByAll(this.#shares.receive, bytes)
        : admitsDatagram(share.flows.receive, bytes);
    if (!mayPass) {
      this.#drops.add('bandwidth');
      return false;
    }
    this.#activeAt = performance.now();
    this.received += bytes;
    if (entry !== undefined) entry.usedAt = Math.floor(this.#activeAt);
    if (share === undefined) this.#shares.received(bytes);
    else share.received += bytes;
    return true;
  }
}

function headerOf({ host, port }: Peer): Uint8Array {
  return encodeUdpHeader({ fragment: 0, address: addressOf(host, port) });
}

function beginsWith(buffer: Uint8Array, start: number, end: number, header: Uint8Array): boolean {
  if (end - start < header.length) return false;
  for (let i = 0; i < header.length; i++) if (buffer[start + i] !== header[i]) return false;
  return true;
}
