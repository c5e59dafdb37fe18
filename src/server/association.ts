import { UDP_HEADROOM } from '../net/engine.ts';
import type { Endpoint, Peer, UdpSocket } from '../net/engine.ts';
import type { RuleOptions } from '../policy/policy.ts';
import { Reassembly } from '../session/reassembly.ts';
import type { Address } from '../wire/address.ts';
import { concat } from '../wire/bytes.ts';
import { WireError } from '../wire/error.ts';
import { decodeUdpHeader } from '../wire/udp.ts';
import { admitsDatagram } from './bandwidths.ts';
import type { Flows } from './bandwidths.ts';
import { Exits } from './exits.ts';
import type { FarAnswer } from './exits.ts';
import { Failure } from './failure.ts';
import { advertisedAddress, bindRelayPort } from './relay-port.ts';
import type { Counters, Session } from './session.ts';
import type { ServerState } from './state.ts';
import { Ways } from './ways.ts';
import type { Way } from './ways.ts';

/**
 * The UDP relay of one client (RFC 1928 section 7). Towards the client it has a port of its own, which hears the client's
 * address only; towards the destinations it has its exits, which hear only whom the client wrote to.
 * Every destination is decided by the rules when it is first used. Whatever is wrong with a datagram drops that datagram.
 */
export class Association implements Counters {
  sent = 0;
  received = 0;
  /** Datagrams that went nowhere, by reason; `errors` are failed sends and, where the engine sees them, ICMP errors. */
  readonly counts = {
    stranger: 0,
    malformed: 0,
    refused: 0,
    unasked: 0,
    overflow: 0,
    bandwidth: 0,
    errors: 0,
  };

  readonly #session: Session;
  readonly #inside: UdpSocket;
  readonly #exits: Exits;
  readonly #forget: (() => void)[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #reassembly = new Reassembly();
  readonly #flows: Flows;

  readonly #ways: Ways;
  #clientPort: number;
  #client: Peer | undefined;
  #last: { readonly header: Uint8Array; readonly key: string; readonly address: Address } | undefined;
  #activeAt = performance.now();
  #closed = false;

  /** Binds the client's side; `port` is where the client says it will send from, 0 = it does not say. */
  static async open(
    session: Session,
    port: number,
    rule: RuleOptions,
    state: ServerState,
  ): Promise<Association> {
    const held: { association?: Association } = {};
    const inside = await bindRelayPort(state.engine, session.client.local.host, session.listener.udp.ports, {
      received: (buffer, start, end, from) => held.association?.fromClient(buffer, start, end, from),
      failed: () => {
        if (held.association !== undefined) held.association.counts.errors++;
      },
    });
    held.association = new Association(session, inside, port, state.bandwidths.flows(rule), state);
    if (session.failure !== undefined) {
      held.association.close();
      throw session.failure;
    }
    return held.association;
  }

  private constructor(session: Session, inside: UdpSocket, port: number, flows: Flows, state: ServerState) {
    this.#session = session;
    this.#inside = inside;
    this.#clientPort = port;
    this.#flows = flows;
    this.#forget.push(state.ports.add(inside.local, 'udp'));
    this.#exits = new Exits(session, state, {
      received: (buffer, start, end, from) => this.#fromTarget(buffer, start, end, from),
      receivedFar: (answer) => this.#fromUpstream(answer),
      dropped: (why) => this.counts[why]++,
      lost: (socket) => this.#ways.forgetAll(socket),
    });
    this.#ways = new Ways(session, state, {
      wayTo: (passage) => this.#exits.wayTo(passage),
      send: (way, buffer, start, end, room) => this.#send(way, buffer, start, end, room),
      dropped: (why) => this.counts[why]++,
    });
    session.recheck = () => this.#ways.recheck();
  }

  get local(): Endpoint {
    return this.#inside.local;
  }

  /** Where the client is told to send to. */
  get advertised(): Endpoint {
    const host = advertisedAddress(this.#session.ip, this.#session.listener.udp.advertise) ?? this.local.host;
    return { host, port: this.local.port };
  }

  /** Calls back when no datagram has passed for so long. */
  whenIdle(idle: number, callback: () => void): void {
    const timer = setInterval(
      () => {
        if (performance.now() - this.#activeAt >= idle) callback();
      },
      Math.min(idle, 1000),
    );
    this.#timers.push(timer);
  }

  after(duration: number, callback: () => void): void {
    this.#timers.push(setTimeout(callback, duration));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const forget of this.#forget) forget();
    this.#inside.close();
    this.#exits.close();
  }

  /** A datagram on the client's side. */
  fromClient(buffer: Uint8Array, start: number, end: number, from: Peer): void {
    if (
      from.host !== this.#session.remote.host ||
      (this.#clientPort !== 0 && from.port !== this.#clientPort)
    ) {
      this.counts.stranger++;
      return;
    }
    try {
      // Most datagrams go where the one before went: the same header needs no second reading.
      const last = this.#last;
      if (last !== undefined && beginsWith(buffer, start, end, last.header)) {
        const size = last.header.length;
        this.#ways.forward(last.key, last.address, buffer, start + size, end, UDP_HEADROOM + size);
        return;
      }
      const header = decodeUdpHeader(buffer, start, end);
      if (header === undefined) {
        this.counts.malformed++;
        return;
      }
      const { address, fragment } = header.value;
      this.#client ??= from;
      this.#clientPort = from.port;
      const key = `${address.host}:${address.port}`;
      const dataStart = start + header.size;
      if (fragment === 0) {
        this.#last = { header: buffer.slice(start, dataStart), key, address };
        this.#ways.forward(key, address, buffer, dataStart, end, UDP_HEADROOM + header.size);
        return;
      }
      const whole = this.#reassembly.add(fragment, key, buffer.subarray(dataStart, end), performance.now());
      if (whole !== undefined) this.#ways.forward(key, address, whole, 0, whole.length, 0);
    } catch (error) {
      if (error instanceof WireError) this.counts.malformed++;
      else this.#session.stop(Failure.from(error, 'relay'));
    }
  }

  #send({ socket, peer, header }: Way, buffer: Uint8Array, start: number, end: number, room: number): void {
    if (this.#closed) return;
    if (!admitsDatagram(this.#flows.send, end - start)) {
      this.counts.bandwidth++;
      return;
    }
    this.#activeAt = performance.now();
    this.sent += end - start;
    if (header === undefined) socket.send(buffer, start, end, peer);
    else if (header.length <= room) {
      buffer.set(header, start - header.length);
      socket.send(buffer, start - header.length, end, peer);
    } else {
      const datagram = concat(header, buffer.subarray(start, end));
      socket.send(datagram, 0, datagram.length, peer);
    }
  }

  /** A datagram on the destinations' side: the header goes in front of it, in the engine's own buffer. */
  #fromTarget(buffer: Uint8Array, start: number, end: number, from: Peer): void {
    let header = this.#ways.answerHeader(from);
    if (header === undefined && this.#session.listener.udp.replies === 'any')
      header = this.#ways.expect(from);
    if (header === undefined || this.#client === undefined) {
      this.counts.unasked++;
      return;
    }
    if (!admitsDatagram(this.#flows.receive, end - start)) {
      this.counts.bandwidth++;
      return;
    }
    this.#activeAt = performance.now();
    this.received += end - start;
    const headed = start - header.length;
    buffer.set(header, headed);
    this.#inside.send(buffer, headed, end, this.#client);
  }

  /** The same through upstreams, where the last server has written the header. */
  #fromUpstream({ buffer, start, dataStart, end, from }: FarAnswer): void {
    const mayAnswer =
      this.#session.listener.udp.replies === 'any' || from.some((one) => this.#ways.mayAnswer(one));
    if (!mayAnswer || this.#client === undefined) {
      this.counts.unasked++;
      return;
    }
    if (!admitsDatagram(this.#flows.receive, end - dataStart)) {
      this.counts.bandwidth++;
      return;
    }
    this.#activeAt = performance.now();
    this.received += end - dataStart;
    this.#inside.send(buffer, start, end, this.#client);
  }
}

function beginsWith(buffer: Uint8Array, start: number, end: number, header: Uint8Array): boolean {
  if (end - start < header.length) return false;
  for (let i = 0; i < header.length; i++) if (buffer[start + i] !== header[i]) return false;
  return true;
}
