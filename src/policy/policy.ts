import type { Ip } from '../wire/ip.ts';

export type Command = 'connect' | 'bind' | 'udp' | 'resolve';
export type Method = 'none' | 'password' | 'certificate';
export type Protocol = 'socks4' | 'socks5' | 'http';
export type LogKind = 'connect' | 'disconnect' | 'error';

/** Where a rule is in the configuration, for records and `garter check`. Lines count from 1. */
export interface Origin {
  readonly file?: string;
  readonly line?: number;
}

/** The rules as config/ hands them over, already checked; `compile()` makes a Policy of them. */
export interface PolicyOptions {
  /** `undefined` when the file has no `accept` at all. */
  readonly accept?: readonly AcceptRuleOptions[];
  readonly rules: readonly RuleOptions[];
  /** Prefixes by which a NAT64 translates: addresses in them stand for the IPv4 address inside. */
  readonly nat64?: readonly string[];
}

export interface AcceptRuleOptions {
  readonly name: string;
  readonly allow: boolean;
  /** Address conditions: CIDR, address or a named set. `undefined` = everybody. */
  readonly from?: readonly string[];
  /** Replaces the listener's methods. */
  readonly methods?: readonly Method[];
  readonly origin?: Origin;
}

/** What a rule, or a route, asks of a request: all of it has to hold. */
export interface RequestConditionOptions {
  readonly name: string;
  /** `undefined` = any. */
  readonly commands?: readonly Command[];
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
  /** What the matched rule demands; only an allowing rule has it. A client that came by another method is refused, with no further rule. */
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
  /** Bytes of a user in a day (UTC), both ways together. */
  readonly quotaPerUser?: number;
  /** Milliseconds. */
  readonly duration?: number;
  readonly idle?: number;
}

/** So many in so many milliseconds. */
export interface Rate {
  readonly most: number;
  readonly per: number;
}

/** What is known of a request before its destination is looked at. */
export interface Facts {
  readonly client: Ip;
  readonly sourcePort: number;
  readonly protocol: Protocol;
  readonly method: Method;
  /** Set when a method vouched for it. */
  readonly user?: string | undefined;
  readonly groups: readonly string[];
  readonly command: Command;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

/** Where a request wants to go: a name (lower case, ASCII, no trailing dot) or an address. */
export type Destination =
  | { readonly type: 'name'; readonly name: string; readonly port: number }
  | { readonly type: 'ip'; readonly ip: Ip; readonly port: number };

/** What the machine itself is: the set `self`, and garter's own ports, which are refused always. */
export interface LocalAddresses {
  /** Every address of this machine; what might be inside one does not count. */
  isSelf(ip: Ip): boolean;
  /** True when garter itself listens or relays on this address and port. */
  isOwnPort(ip: Ip, port: number, transport: 'tcp' | 'udp'): boolean;
}
