import { alongside } from '../net/egress.ts';
import type { Peer, UdpEvents, UdpSocket } from '../net/engine.ts';
import type { Endpoint, Address, HostPort } from '../wire/address.ts';
import { AddressType, UNSPECIFIED } from '../wire/address.ts';
import { concat } from '../wire/bytes.ts';
import { WireError } from '../wire/error.ts';
import { familyOf, ipOf, unspecified, withoutZone } from '../wire/ip.ts';
import { Command } from '../wire/socks5.ts';
import { decodeUdpHeader, encodeUdpHeader } from '../wire/udp.ts';
import { UpstreamError } from './error.ts';
import { open } from './upstream.ts';
import type { ServerOptions, UpstreamOptions } from './options.ts';
import { boundAt, normalised } from './dial-context.ts';
import type { Opened, DialContext } from './dial-context.ts';

/** The owner of an association through upstreams. */
export interface AssociationOwner {
  /** Whether datagrams can be sent to the address that the nearest server reports as its relay. */
  mayBeRelay(relay: Endpoint, server: Endpoint): boolean;
  /** An answer: its header, as sent by the last server, begins at `start`, its data at `dataStart`. */
  received(buffer: Uint8Array, start: number, dataStart: number, end: number, from: HostPort): void;
  /** A datagram came from elsewhere, or is no answer. */
  strange(): void;
  /** The error code of the socket. */
  failed(code: string): void;
  /**
   * One of the connections that keep the association alive has ended, and it is closed. This can happen
   * before the association has been handed over.
   */
  lost(association: UpstreamAssociation): void;
}

/**
 * An association with every server of an upstream: with the last one for the destinations, with each one
 * before it for the relay of the next. A datagram is sent to the nearest server's relay with one header per
 * server, the nearest first.
 */
export class UpstreamAssociation {
  /** The nearest first. */
  readonly servers: readonly ServerOptions[];
  readonly socket: UdpSocket;
  /** The nearest server's relay. */
  readonly relay: Peer;
  /** The family of the last server's relay, if known. */
  readonly family: 4 | 6 | undefined;
  readonly #hops: readonly Opened[];
  /** The headers for the relays beyond the nearest. */
  readonly #headers: Uint8Array;
  #closed = false;

  constructor(
    hops: readonly Opened[],
    socket: UdpSocket,
    relay: Endpoint,
    beyond: readonly Address[],
    owner: AssociationOwner,
  ) {
    this.servers = hops.at(-1)!.servers;
    this.socket = socket;
    this.relay = socket.peer(relay);
    this.family = ipOf((beyond.at(-1) ?? relay).host)?.family;
    this.#hops = hops;
    this.#headers = concat(...beyond.map((address) => encodeUdpHeader({ fragment: 0, address })));
    for (const { stream } of hops) {
      stream.onLost(() => {
        if (this.#closed) return;
        this.close();
        owner.lost(this);
      });
    }
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** The headers in front of the data for a destination. */
  headerFor(destination: Address): Uint8Array {
    return concat(this.#headers, encodeUdpHeader({ fragment: 0, address: destination }));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.socket.close();
    for (const hop of this.#hops) leave(hop);
  }
}

/** Requests an association from every server of an upstream. Rejects as `open` does. */
export async function associateThrough(
  upstream: UpstreamOptions,
  context: DialContext,
  owner: AssociationOwner,
): Promise<UpstreamAssociation> {
  const hops: Opened[] = [];
  try {
    // The last one first: it determines which server each group uses.
    const last = await open(upstream, REQUEST, context);
    hops.push(last);
    // A name may have several machines behind it.
    const nearby = { ...context, nearest: ipOf(last.stream.remote.host) };
    for (let count = 1; count < last.servers.length; count++) {
      const before = { type: 'chain', label: upstream.label, hops: last.servers.slice(0, count) } as const;
      hops.splice(-1, 0, await open(before, REQUEST, nearby));
    }
    const [relay, ...beyond] = hops.map(boundAt);
    const nearest = hops[0]!;
    const server = nearest.stream.remote;
    if (relay!.type === AddressType.name || relay!.port === 0 || !owner.mayBeRelay(relay!, server))
      throw new UpstreamError('unable', nearest.servers[0]!.label, 'relay-address');
    const at = { host: localHost(relay!, nearest, context), port: 0 };
    const socket = await context.engine.udp(at, events(relay!, beyond, owner));
    return new UpstreamAssociation(hops, socket, relay!, beyond, owner);
  } catch (error) {
    for (const hop of hops) leave(hop);
    throw error;
  }
}

/** The source of the datagrams is not known yet. */
const REQUEST = { command: Command.udpAssociate, destination: UNSPECIFIED };

function leave({ stream, release }: Opened): void {
  stream.destroy();
  release();
}

/** A server accepts datagrams from the address that made the request. */
function localHost(relay: Address, { stream }: Opened, context: DialContext): string {
  const { host } = stream.local;
  if (familyOf(host) === familyOf(relay.host)) return context.egress ? alongside(context.egress, host) : host;
  return context.localAddress?.(relay.host) ?? unspecified(familyOf(relay.host));
}

function events(relay: Endpoint, beyond: readonly Address[], owner: AssociationOwner): UdpEvents {
  return {
    received: (buffer, start, end, from) => {
      const isRelay = withoutZone(from.host) === relay.host && from.port === relay.port;
      const answer = isRelay ? unwrap(beyond, buffer, start, end) : undefined;
      if (answer === undefined) owner.strange();
      else owner.received(buffer, answer.start, answer.dataStart, end, answer.from);
    },
    failed: (code) => owner.failed(code),
  };
}

interface Answer {
  readonly start: number;
  readonly dataStart: number;
  readonly from: HostPort;
}

/**
 * Strips the headers of the relays beyond the nearest; `undefined` when the datagram did not pass through all
 * of them.
 */
function unwrap(
  beyond: readonly Address[],
  buffer: Uint8Array,
  start: number,
  end: number,
): Answer | undefined {
  try {
    let at = start;
    for (let i = 0; ; i++) {
      const header = decodeUdpHeader(buffer, at, end);
      if (header === undefined || header.value.fragment !== 0) return undefined;
      const from = normalised(header.value.address);
      if (i === beyond.length) return { start: at, dataStart: at + header.size, from };
      if (!isFrom(from, beyond[i]!)) return undefined;
      at += header.size;
    }
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** If a relay is known by name, only the server before it knows the address. */
function isFrom(from: HostPort, relay: Address): boolean {
  return from.port === relay.port && (relay.type === AddressType.name || from.host === relay.host);
}
