import type { EgressOptions, LocalAddress } from '../net/egress.ts';
import type { Connection, Engine, Signal } from '../net/engine.ts';
import type { Spare } from '../limits/spare.ts';
import { ResolveError } from '../resolve/error.ts';
import type { Resolver } from '../resolve/resolver.ts';
import type { Asker } from '../limits/fair-queue.ts';
import { withTimeout } from '../limits/timeout.ts';
import type { ClientHandshake } from '../handshake/client.ts';
import { addressOf } from '../wire/address.ts';
import type { Address, HostPort } from '../wire/address.ts';
import { formatIp, isWildcard, parseIp, unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import type { Credentials } from '../wire/password.ts';
import type { Command } from '../wire/socks5.ts';
import type { Discovery } from './discovery.ts';
import type { Health } from './health.ts';
import type { ServerOptions } from './options.ts';
import type { Links } from './link.ts';
import type { OutgoingProxyHeader } from './proxy-header.ts';

/** What a request needs on its way through upstreams. */
export interface DialContext {
  readonly engine: Engine;
  readonly resolver: Resolver;
  readonly health: Health;
  readonly discovery: Discovery;
  readonly links: Links;
  readonly spare: Spare;
  readonly signal: Signal;
  /** When the whole attempt ends, by `performance.now`. */
  readonly deadline: number;
  /**
   * When the server that is being tried must have been reached and have understood; after that, the
   * destination is to blame.
   */
  readonly hopDeadline: number;
  /** The local address of connections. @default the kernel's choice */
  readonly localAddress: LocalAddress | undefined;
  /** The PROXY header with which a connection from here begins. @default none */
  readonly proxyHeader?: OutgoingProxyHeader | undefined;
  /** The egress from which `localAddress` is chosen. */
  readonly egress?: EgressOptions | undefined;
  /** The address of the nearest server, if already known. @default those of its name */
  readonly nearest?: Ip | undefined;
  /** The client's network: a `source-hash` group chooses by it, and spare descriptors are shared by it. */
  readonly client: string;
  /** Identifies the client in fair queues. @default anonymous */
  readonly source?: Asker | undefined;
  readonly credentials: Credentials | undefined;
  /** True for garter's own ports. */
  readonly isOwnPort: (ip: Ip, port: number) => boolean;
}

/** The request for the last server. */
export interface Request {
  readonly command: Command;
  readonly destination: Address;
  /** Makes no request: the last server is only greeted. @default false */
  readonly greetsOnly?: boolean;
  /** The destination is the next server of the chain. @default false */
  readonly leadsOn?: boolean;
}

/** An open connection through an upstream. */
export interface Opened {
  readonly stream: Connection;
  /** BND.ADDR and BND.PORT of the last server's reply. */
  readonly bound: HostPort;
  /** The handshake with the last server; for BIND, a second reply is still to come. */
  readonly handshake: ClientHandshake;
  /** The servers that were used, the nearest first. */
  readonly servers: readonly ServerOptions[];
  /** Must be called when the connection is no longer used. */
  readonly release: () => void;
}

/**
 * BND.ADDR and BND.PORT. Anything but a specified address means the server's own, which may be a name that
 * only the server before it can resolve.
 */
export function boundAt({ bound, stream, servers }: Opened): Address {
  if (parseIp(bound.host) !== undefined && !isWildcard(bound.host)) return addressOf(bound.host, bound.port);
  const { host } = servers.length === 1 ? stream.remote : servers.at(-1)!.at;
  return addressOf(host, bound.port);
}

/** An address as servers report it: a dual-stack one may send ::ffff:192.0.2.1. */
export function normalised({ host, port }: HostPort): HostPort {
  const ip = host.includes(':') ? parseIp(host) : undefined;
  return { host: ip === undefined ? host : formatIp(unmapped(ip)), port };
}

/** Milliseconds, at least one. */
export function remaining(until: number): number {
  return Math.max(1, until - performance.now());
}

/** Limits a look-up to the time that is left for the server that requires it. */
export function withinHop<T>(lookUp: Promise<T>, { hopDeadline }: DialContext): Promise<T> {
  return withTimeout(lookUp, remaining(hopDeadline), () => {
    throw new ResolveError('ETIMEOUT', 'no time left');
  });
}
