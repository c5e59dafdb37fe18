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

/** What a request needs to find its way through upstreams. */
export interface DialContext {
  readonly engine: Engine;
  readonly resolver: Resolver;
  readonly health: Health;
  readonly discovery: Discovery;
  readonly links: Links;
  readonly spare: Spare;
  readonly signal: Signal;
  /** When it is over in all, by `performance.now`. */
  readonly deadline: number;
  /** When the server that is tried now must have been reached and must have understood; what comes then is up to the destination. */
  readonly hopDeadline: number;
  /** Where connections come from. @default the kernel's choice */
  readonly localAddress: LocalAddress | undefined;
  /** What that goes by. */
  readonly egress?: EgressOptions | undefined;
  /** The address of the nearest server, where that is known already. @default those of its name */
  readonly nearest?: Ip | undefined;
  /** Whom it is for: leads to the same server again where a group wants that. */
  readonly client: string;
  /** Who it is that takes turns with others. @default nobody in particular */
  readonly source?: Asker | undefined;
  readonly credentials: Credentials | undefined;
  /** True for garter's own ports. */
  readonly isOwnPort: (ip: Ip, port: number) => boolean;
}

/** What is asked of the last server. */
export interface Request {
  readonly command: Command;
  readonly destination: Address;
  /** Nothing is: the last server is greeted and left there. @default false */
  readonly greetsOnly?: boolean;
  /** The destination is the next server of ours. @default false */
  readonly leadsOn?: boolean;
}

/** The end of a way. */
export interface Opened {
  readonly stream: Connection;
  /** BND.ADDR and BND.PORT of the last server's reply. */
  readonly bound: HostPort;
  /** The handshake with the last server, which for BIND has another reply to come. */
  readonly handshake: ClientHandshake;
  /** The servers on the way, the nearest first. */
  readonly servers: readonly ServerOptions[];
  /** When it is not used any more. */
  readonly release: () => void;
}

/**
 * BND.ADDR and BND.PORT. What is no address, or an unspecified one, means the server's own, which may be a name that only the
 * server before it knows.
 */
export function boundAt({ bound, stream, servers }: Opened): Address {
  if (parseIp(bound.host) !== undefined && !isWildcard(bound.host)) return addressOf(bound.host, bound.port);
  const { host } = servers.length === 1 ? stream.remote : servers.at(-1)!.at;
  return addressOf(host, bound.port);
}

/** An address as a server tells it: a dual-stack one may write ::ffff:192.0.2.1. */
export function normalised({ host, port }: HostPort): HostPort {
  const ip = host.includes(':') ? parseIp(host) : undefined;
  return { host: ip === undefined ? host : formatIp(unmapped(ip)), port };
}

/** Milliseconds, one at least. */
export function remaining(until: number): number {
  return Math.max(1, until - performance.now());
}

/** A look-up takes no more of the time than the server has that it is for. */
export function withinHop<T>(lookUp: Promise<T>, { hopDeadline }: DialContext): Promise<T> {
  return withTimeout(lookUp, remaining(hopDeadline), () => {
    throw new ResolveError('ETIMEOUT', 'no time left');
  });
}
