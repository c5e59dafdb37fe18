import type { LogKind, Method, Protocol } from '../../policy/policy.ts';
import type { CommandWord, ListFile, OneOrMany, Ports } from './values.ts';

/** An entry of `accept`. */
export interface AcceptConfig {
  /** For records and messages. @default 'accept-1', 'accept-2', … */
  readonly name?: string | undefined;
  /** `true` accepts the connection, `false` closes it. */
  readonly allow: boolean;
  /** Listeners, by name or address. @default all */
  readonly listener?: OneOrMany<string> | undefined;
  /** Clients: CIDRs, addresses and sets. @default all */
  readonly from?: OneOrMany<string | ListFile> | undefined;
  /** Authentication methods instead of the listener's. @default the listener's */
  readonly methods?: OneOrMany<Method> | undefined;
}

/** An entry of `rules`. It has either `allow` or `deny`. */
export interface RuleConfig {
  /** For records and messages. @default 'rule-1', 'rule-2', … */
  readonly name?: string | undefined;
  /** The commands that this rule allows. */
  readonly allow?: OneOrMany<CommandWord> | undefined;
  /** The commands that this rule refuses. */
  readonly deny?: OneOrMany<CommandWord> | undefined;
  /** Listeners, by name or address. @default all */
  readonly listener?: OneOrMany<string> | undefined;
  /** Clients: CIDRs, addresses and sets. @default all */
  readonly from?: OneOrMany<string | ListFile> | undefined;
  /** Authenticated users, and groups as `@group`. @default all, including anonymous clients */
  readonly user?: OneOrMany<string | ListFile> | undefined;
  /**
   * Destinations: CIDR, address, name, `.suffix` (which includes the name itself), or a set: any, public,
   * private, loopback, link-local, multicast, self, metadata, reserved. In an allowing rule `any` and
   * `public` do not include the last six.
   */
  readonly to: OneOrMany<string | ListFile>;
  /** Ports of the destination. @default all */
  readonly port?: OneOrMany<Ports | ListFile> | undefined;
  /** Ports that the client connects from. @default all */
  readonly 'source-port'?: OneOrMany<Ports> | undefined;
  /** Protocols of the client. @default all */
  readonly protocol?: OneOrMany<Protocol> | undefined;
  /**
   * Methods that an allowing rule requires: a client that authenticated differently is refused, and no
   * further rule is tried.
   * @default any
   */
  readonly method?: OneOrMany<Method> | undefined;
  /** When this rule applies. @default always */
  readonly when?: WhenConfig | undefined;
  /**
   * For allowing rules. A request beyond a limit is refused; it never falls through to the next rule.
   * @default none
   */
  readonly limit?: RuleLimitsConfig | undefined;
  /**
   * The log lines of a session: when it begins, when it ends normally, when it ends otherwise. `onRecord` is
   * called in any case.
   * @default ['disconnect', 'error']
   */
  readonly log?: OneOrMany<LogKind> | undefined;
  /**
   * For allowing rules: what happens to their sessions when they no longer apply.
   * @default the top-level `revoke`
   */
  readonly revoke?: 'close' | 'keep' | undefined;
}

export interface WhenConfig {
  /** `sat`, or `mon-fri`. @default every day */
  readonly days?: OneOrMany<string> | undefined;
  /** `08:00-18:00`; with an end before the start it runs past midnight. @default all day */
  readonly hours?: string | undefined;
  /** An IANA time zone, such as `Europe/Oslo`. @default this machine's */
  readonly zone?: string | undefined;
}

/** None of these has a limit by default. */
export interface RuleLimitsConfig {
  /** Concurrent sessions under this rule. */
  readonly sessions?: number | undefined;
  /** Concurrent sessions per user. */
  readonly 'sessions-per-user'?: number | undefined;
  /** Concurrent sessions per client address (IPv6: /64). */
  readonly 'sessions-per-address'?: number | undefined;
  /** New sessions under this rule: `50/s`, `100/m`, `1000/h`. */
  readonly rate?: string | undefined;
  /** New sessions per client address. */
  readonly 'rate-per-address'?: string | undefined;
  /** Bytes per second and direction for all sessions under this rule: `10MB/s`. */
  readonly bandwidth?: string | undefined;
  /** Bytes per second and direction for each session. */
  readonly 'bandwidth-per-session'?: string | undefined;
  /** Bytes per user and day (UTC), both directions together: `10GB/day`. Requires `state`. */
  readonly 'quota-per-user'?: string | undefined;
  /** Maximum duration of a session: `8h`. */
  readonly duration?: string | undefined;
  /** Maximum silence of a session. @default `timeouts.idle` */
  readonly idle?: string | undefined;
}
