import type { Ip } from '../wire/ip.ts';

export type Command = 'connect' | 'bind' | 'udp' | 'resolve';
export type Method = 'none' | 'password' | 'certificate';
export type Protocol = 'socks4' | 'socks5' | 'http';
export type LogKind = 'connect' | 'disconnect' | 'error';

/** Position of a rule in the configuration, for records and `garter check`. Lines count from 1. */
export interface Origin {
  readonly file?: string;
  readonly line?: number;
}

/** The validated rules from config/; `compile()` turns them into a Policy. */
export interface PolicyOptions {
  /** `undefined` when the file has no `accept`. */
  readonly accept?: readonly AcceptRuleOptions[];
  readonly rules: readonly RuleOptions[];
  /** Prefixes of NAT64 translators: an address in them is treated as the IPv4 address it contains. */
  readonly nat64?: readonly string[];
}

export interface AcceptRuleOptions {
  readonly name: string;
  readonly allow: boolean;
  /** `undefined` = all listeners. */
  readonly listener?: readonly string[];
  /** Address conditions: CIDR, address or a named set. `undefined` = all clients. */
  readonly from?: readonly string[];
  /** Replaces the listener's methods. */
  readonly methods?: readonly Method[];
  readonly origin?: Origin;
}

/** The conditions of a rule or a route on a request; all must hold. */
export interface RequestConditionOptions {
  readonly name: string;
  /** `undefined` = any. */
  readonly commands?: readonly Command[];
  /** Names of listeners, see `Facts`. */
  readonly listener?: readonly string[];
  readonly from?: readonly string[];
  /** Names and @groups. */
  readonly user?: readonly string[];
  /** CIDR, address, name, .suffix or a named set. Required by the grammar. */
  readonly to: readonly string[];
  readonly port?: readonly PortRange[];
  readonly sourcePort?: readonly PortRange[];
  readonly protocol?: readonly Protocol[];
  readonly when?: WhenOptions;
}

export interface RuleOptions extends RequestConditionOptions {
  readonly action: 'allow' | 'deny';
  /**
   * Methods that the rule requires, for allowing rules only. A client that used another one is refused, and
   * no further rule is tried.
   */
  readonly method?: readonly Method[];
  readonly limit?: LimitOptions;
  readonly log: readonly LogKind[];
  readonly revoke: 'close' | 'keep';
  readonly origin?: Origin;
}

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export interface WhenOptions {
  /** 0 = Sunday … 6 = Saturday. */
  readonly days: readonly number[];
  /** Minutes after midnight, the end exclusive; an end before the start runs past midnight, into the next day. */
  readonly hours?: { readonly start: number; readonly end: number };
  /** IANA time zone. */
  readonly zone: string;
}

export interface LimitOptions {
  readonly sessions?: number;
  readonly sessionsPerUser?: number;
  readonly sessionsPerAddress?: number;
  /** New sessions. */
  readonly rate?: Rate;
  readonly ratePerAddress?: Rate;
  /** Bytes per second, each way. */
  readonly bandwidth?: number;
  readonly bandwidthPerSession?: number;
  /** Bytes per user and day (UTC), both directions together. */
  readonly quotaPerUser?: number;
  /** Milliseconds. */
  readonly duration?: number;
  readonly idle?: number;
}

/** `most` events in `per` milliseconds. */
export interface Rate {
  readonly most: number;
  readonly per: number;
}

/** The facts of a request known before its destination is examined. */
export interface Facts {
  /** The name of the listener, or its address as configured if it has none. */
  readonly listener: string;
  readonly client: Ip;
  readonly sourcePort: number;
  readonly protocol: Protocol;
  readonly method: Method;
  /** Set when the user was authenticated. */
  readonly user?: string | undefined;
  readonly groups: readonly string[];
  readonly command: Command;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

/** The destination of a request: a name (lower case, ASCII, no trailing dot) or an address. */
export type Destination =
  | { readonly type: 'name'; readonly name: string; readonly port: number }
  | { readonly type: 'ip'; readonly ip: Ip; readonly port: number };

/** The addresses of this machine, for the set `self`, and garter's own ports, which are always refused. */
export interface LocalAddresses {
  /** True for every address of this machine; embedded IPv4 addresses are not examined. */
  isSelf(ip: Ip): boolean;
  /** True when garter itself listens or relays on this address and port. */
  isOwnPort(ip: Ip, port: number, transport: 'tcp' | 'udp'): boolean;
}
