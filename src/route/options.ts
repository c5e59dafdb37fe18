import type { EgressOptions } from '../net/egress.ts';
import type { Origin, RequestConditionOptions } from '../policy/policy.ts';
import type { NameServer } from '../resolve/system.ts';
import { formatAddress } from '../wire/address.ts';
import type { HostPort } from '../wire/address.ts';
import type { Credentials } from '../wire/password.ts';

/** The section `routes`: checked, with every upstream in its place. */
export interface RouteOptions extends Pick<
  RequestConditionOptions,
  'name' | 'commands' | 'from' | 'user' | 'to' | 'port'
> {
  /** What `via` says, without secrets: for records. */
  readonly label: string;
  readonly via: 'direct' | UpstreamOptions;
  readonly egress?: EgressOptions;
  /** Names are resolved here even where the upstream would do it. */
  readonly resolvesHere: boolean;
  /** Name servers for this route. */
  readonly dns?: readonly NameServer[];
  readonly origin?: Origin;
}

/** The section `upstreams`. `udp`: datagrams, which are never encrypted, may go there although the link, or one below, is. */
export type UpstreamOptions = ServerOptions | GroupOptions | DiscoverOptions | ChainOptions;

/** A proxy server. */
export interface ServerOptions {
  readonly type: 'server';
  /** Its URL without secrets; equal labels are the same server. */
  readonly label: string;
  readonly protocol: 'socks4' | 'socks4a' | 'socks5' | 'http';
  /** Names go there as names: socks4a, socks5h and http. */
  readonly passesNames: boolean;
  readonly at: HostPort;
  /** The unix socket where it listens, in place of `at`. */
  readonly path?: string;
  /** It is spoken to over TLS. */
  readonly tls?: LinkOptions;
  /** `client` is whatever the client has shown. In SOCKS4 the name is the user id. */
  readonly credentials?: Credentials | 'client';
  readonly udp?: 'clear';
}

/** An encrypted link; certificates and keys are PEM texts. Tickets are kept for one such object: another one begins anew. */
export interface LinkOptions {
  /** What the certificate has to be for, and the SNI. @default the host of the server */
  readonly name?: string;
  /** Who may have issued it. @default the system's CAs */
  readonly ca?: string;
  /** What is shown to a server that wants to see a certificate, and its key. */
  readonly cert?: string;
  readonly key?: string;
  /** SHA-256 of the key that the certificate is for (its SubjectPublicKeyInfo), in base64: it has to be one of these. */
  readonly pins?: readonly string[];
}

/** Several ways of which one is taken. */
export interface GroupOptions {
  readonly type: 'group';
  readonly label: string;
  readonly members: readonly MemberOptions[];
  readonly choose: Choice;
  readonly health: HealthOptions;
  /** Members that are tried for one connection. */
  readonly tries: number;
  readonly udp?: 'clear';
}

export type Choice = 'order' | 'random' | 'round-robin' | 'least-sessions' | 'source-hash';

export interface MemberOptions {
  readonly upstream: UpstreamOptions;
  readonly weight: number;
  /** Those with a lower number come first; `choose` is for those that have the same. @default 0 */
  readonly priority?: number;
}

/** A group whose servers are found by SRV records (RFC 2782). */
export interface DiscoverOptions extends Pick<GroupOptions, 'label' | 'choose' | 'health' | 'tries' | 'udp'> {
  readonly type: 'discover';
  /** The name of the records, `_socks5._tcp.example.org` for one. */
  readonly service: string;
  /** What the label of a server begins with: `socks5h://` and its like. */
  readonly scheme: string;
  /** What each of the servers is, but for its place. */
  readonly server: Omit<ServerOptions, 'type' | 'label' | 'at' | 'path'>;
}

export interface HealthOptions {
  /** Failures in a row, in use and in checks, until a member is passed over. */
  readonly fail: number;
  /** Each member is checked, too. */
  readonly check?: CheckOptions;
}

export interface CheckOptions {
  /** Milliseconds between two checks. */
  readonly every: number;
  /** Good ones in a row until a member that was passed over is taken again. */
  readonly recover: number;
  /** What a member has to connect to. @default nothing: it is greeted only */
  readonly connect?: HostPort;
}

/** Servers one behind the other, the nearest first. */
export interface ChainOptions {
  readonly type: 'chain';
  readonly label: string;
  readonly hops: readonly UpstreamOptions[];
  readonly udp?: 'clear';
}

/** Whether a server takes IPv4 addresses only, or names, and a user id in place of a password. */
export function isSocks4(protocol: ServerOptions['protocol']): boolean {
  return protocol === 'socks4' || protocol === 'socks4a';
}

/** Whether what is sent to a server is encrypted on the way there. */
export function isEncrypted({ tls }: Pick<ServerOptions, 'tls'>): boolean {
  return tls !== undefined;
}

/** Where a server is, as it stands in records. */
export function placeOf({ at, path }: ServerOptions): string {
  return path ?? formatAddress(at);
}

/** Whether some server that is reached first on this way has a unix socket. */
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

/** Whether names are passed on to whoever is at the end of this upstream. */
export function passesNames(upstream: UpstreamOptions): boolean {
  switch (upstream.type) {
    case 'server':
      return upstream.passesNames;
    case 'group':
      return upstream.members.every((member) => passesNames(member.upstream));
    case 'discover':
      return upstream.server.passesNames;
    case 'chain':
      return passesNames(upstream.hops.at(-1)!);
    default:
      return upstream satisfies never;
  }
}

/** Whether some server on this way is shown what the client has shown. */
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
