import type { Endpoint } from '../net/engine.ts';
import type { Command, Origin, PortRange } from '../policy/policy.ts';
import type { HostPort } from '../wire/address.ts';
import type { Credentials } from '../wire/password.ts';

/** The section `routes`: checked, with every upstream in its place. */
export interface RouteOptions {
  readonly name: string;
  /** What `via` says, without secrets: for records. */
  readonly label: string;
  /** `undefined` = any. */
  readonly commands?: readonly Command[];
  /** Address conditions. */
  readonly from?: readonly string[];
  /** Names and @groups. */
  readonly user?: readonly string[];
  /** CIDR, address, name, .suffix or a named set. */
  readonly to: readonly string[];
  readonly port?: readonly PortRange[];
  readonly via: 'direct' | UpstreamOptions;
  readonly egress?: EgressOptions;
  /** Names are resolved here even where the upstream would do it. */
  readonly resolvesHere: boolean;
  /** Name servers for this route. */
  readonly dns?: readonly Endpoint[];
  readonly origin?: Origin;
}

/** Which local address connections come from. */
export interface EgressOptions {
  /** Literal addresses, and names of network interfaces for the addresses they have at the time. */
  readonly addresses: readonly string[];
  /**
   * Which of several of a family: the first; what the kernel would take towards the destination, if it is among them; the one
   * that the client had connected to, if it is; or any.
   */
  readonly rotate: 'none' | 'route' | 'same-as-incoming' | 'random';
}

/** The section `upstreams`. */
export type UpstreamOptions = ServerOptions | GroupOptions | ChainOptions;

/** A proxy server. */
export interface ServerOptions {
  readonly type: 'server';
  /** Its URL without secrets; equal labels are the same server. */
  readonly label: string;
  readonly protocol: 'socks4' | 'socks4a' | 'socks5' | 'http';
  /** Names go there as names: socks4a, socks5h and http. */
  readonly passesNames: boolean;
  readonly at: HostPort;
  /** `client` is whatever the client has shown. In SOCKS4 the name is the user id. */
  readonly credentials?: Credentials | 'client';
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
}

export type Choice = 'order' | 'random' | 'round-robin' | 'least-sessions' | 'source-hash';

export interface MemberOptions {
  readonly way: UpstreamOptions;
  readonly weight: number;
}

export interface HealthOptions {
  /** Failures in a row until a member is passed over. */
  readonly fail: number;
}

/** Servers one behind the other, the nearest first. */
export interface ChainOptions {
  readonly type: 'chain';
  readonly label: string;
  readonly hops: readonly UpstreamOptions[];
}

/** Whether names are passed on to whoever is at the end of this way. */
export function passesNames(way: UpstreamOptions): boolean {
  switch (way.type) {
    case 'server':
      return way.passesNames;
    case 'group':
      return way.members.every((member) => passesNames(member.way));
    case 'chain':
      return passesNames(way.hops.at(-1)!);
    default:
      return way satisfies never;
  }
}

/** Whether some server on this way is shown what the client has shown. */
export function passesCredentials(way: UpstreamOptions): boolean {
  switch (way.type) {
    case 'server':
      return way.credentials === 'client';
    case 'group':
      return way.members.some((member) => passesCredentials(member.way));
    case 'chain':
      return way.hops.some(passesCredentials);
    default:
      return way satisfies never;
  }
}
