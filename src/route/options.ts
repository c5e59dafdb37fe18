import type { EgressOptions } from '../net/egress.ts';
import type { Origin, RequestConditionOptions } from '../policy/policy.ts';
import type { NameServer } from '../resolve/system.ts';
import { formatAddress } from '../wire/address.ts';
import type { HostPort } from '../wire/address.ts';
import type { Credentials } from '../wire/password.ts';
import type { ProxyHeaderVersion } from '../wire/proxy-header.ts';

/** The section `routes`: validated, with references to upstreams resolved. */
export interface RouteOptions extends Pick<
  RequestConditionOptions,
  'name' | 'commands' | 'listener' | 'from' | 'user' | 'to' | 'port'
> {
  /** The text of `via` without secrets, for records. */
  readonly label: string;
  readonly via: 'direct' | UpstreamOptions;
  readonly egress?: EgressOptions;
  /** Names are resolved here even if the upstream could do it. */
  readonly resolvesHere: boolean;
  /** Name servers for this route. */
  readonly dns?: readonly NameServer[];
  /** The PROXY header with which TCP connections begin, to a target or to the nearest server. */
  readonly sendProxy?: ProxyHeaderVersion;
  readonly origin?: Origin;
}

/**
 * The section `upstreams`. `udp: 'clear'` permits datagrams, which are never encrypted, although this link or
 * one below it is.
 */
export type UpstreamOptions = ServerOptions | GroupOptions | DiscoverOptions | ChainOptions;

/** A proxy server. */
export interface ServerOptions {
  readonly type: 'server';
  /** Its URL without secrets; equal labels are the same server. */
  readonly label: string;
  readonly protocol: 'socks4' | 'socks4a' | 'socks5' | 'http';
  /** Names are passed on as names: socks4a, socks5h and http. */
  readonly passesNames: boolean;
  readonly at: HostPort;
  /** The unix socket on which it listens, in place of `at`. */
  readonly path?: string;
  /** The link to it uses TLS. */
  readonly tls?: LinkOptions;
  /** `client` passes on the client's credentials. In SOCKS4 the username is the user id. */
  readonly credentials?: Credentials | 'client';
  readonly udp?: 'clear';
}

/**
 * An encrypted link; certificates and keys are PEM texts. Tickets belong to this object: a new one starts
 * without any.
 */
export interface LinkOptions {
  /** The name that the certificate must have, and the SNI. @default the host of the server */
  readonly name?: string;
  /** The trusted CAs. @default the system's CAs */
  readonly ca?: string;
  /** The client certificate for a server that requests one, and its key. */
  readonly cert?: string;
  readonly key?: string;
  /**
   * SHA-256 of acceptable public keys (SubjectPublicKeyInfo), in base64; the certificate must have one of
   * these.
   */
  readonly pins?: readonly string[];
}

/** Several upstreams, of which one is chosen. */
export interface GroupOptions {
  readonly type: 'group';
  readonly label: string;
  readonly members: readonly MemberOptions[];
  readonly choose: Choice;
  readonly health: HealthOptions;
  /** Members that are tried for one connection. */
  readonly tries: number;
  /** When no member can be used, requests leave directly. */
  readonly orDirect?: true;
  readonly udp?: 'clear';
}

export type Choice = 'order' | 'random' | 'round-robin' | 'least-sessions' | 'source-hash';

export interface MemberOptions {
  readonly upstream: UpstreamOptions;
  readonly weight: number;
  /** Members with a lower number come first; `choose` orders those with the same. @default 0 */
  readonly priority?: number;
}

/** A group whose servers are found by SRV records (RFC 2782). */
export interface DiscoverOptions extends Pick<GroupOptions, 'label' | 'choose' | 'health' | 'tries' | 'udp'> {
  readonly type: 'discover';
  /** The name of the records, for example `_socks5._tcp.example.org`. */
  readonly service: string;
  /** The prefix of server labels, such as `socks5h://`. */
  readonly scheme: string;
  /** The options of each server, except its address. */
  readonly server: Omit<ServerOptions, 'type' | 'label' | 'at' | 'path'>;
}

export interface HealthOptions {
  /** Consecutive failures, in use and in checks, after which a member is passed over. */
  readonly fail: number;
  /** Checks of each member. @default none */
  readonly check?: CheckOptions;
}

export interface CheckOptions {
  /** Milliseconds between two checks. */
  readonly every: number;
  /** Consecutive successes after which a member that was passed over is used again. */
  readonly recover: number;
  /** The destination of a check. @default none: the member is only greeted */
  readonly connect?: HostPort;
}

/** Servers in series, the nearest first. */
export interface ChainOptions {
  readonly type: 'chain';
  readonly label: string;
  readonly hops: readonly UpstreamOptions[];
  readonly udp?: 'clear';
}

/**
 * Whether the protocol is SOCKS4, with IPv4 addresses or names only, and a user id in place of a password.
 */
export function isSocks4(protocol: ServerOptions['protocol']): boolean {
  return protocol === 'socks4' || protocol === 'socks4a';
}

/** Whether the link to a server is encrypted. */
export function isEncrypted({ tls }: Pick<ServerOptions, 'tls'>): boolean {
  return tls !== undefined;
}

/** A server's address as it appears in records. */
export function placeOf({ at, path }: ServerOptions): string {
  return path ?? formatAddress(at);
}

/** Whether a server that can be the first hop is on a unix socket. */
export function isHere(upstream: UpstreamOptions): boolean {
  switch (upstream.type) {
    case 'server':
      return upstream.path !== undefined;
    case 'group':
      return upstream.members.some((member) => isHere(member.upstream));
    case 'discover':
      return false;
    case 'chain':
      return isHere(upstream.hops[0]!);
    default:
      return upstream satisfies never;
  }
}

/** Whether requests leave directly when no server of this upstream can be used. */
export function mayGoDirectly(upstream: UpstreamOptions): boolean {
  return upstream.type === 'group' && upstream.orDirect === true;
}

/** Whether names are passed on to the last server of this upstream. */
export function passesNames(upstream: UpstreamOptions): boolean {
  switch (upstream.type) {
    case 'server':
      return upstream.passesNames;
    case 'group':
      return upstream.orDirect !== true && upstream.members.every((member) => passesNames(member.upstream));
    case 'discover':
      return upstream.server.passesNames;
    case 'chain':
      return passesNames(upstream.hops.at(-1)!);
    default:
      return upstream satisfies never;
  }
}

/** Whether some server of this upstream receives the client's credentials. */
export function passesCredentials(upstream: UpstreamOptions): boolean {
  switch (upstream.type) {
    case 'server':
      return upstream.credentials === 'client';
    case 'group':
      return upstream.members.some((member) => passesCredentials(member.upstream));
    case 'discover':
      return upstream.server.credentials === 'client';
    case 'chain':
      return upstream.hops.some(passesCredentials);
    default:
      return upstream satisfies never;
  }
}
