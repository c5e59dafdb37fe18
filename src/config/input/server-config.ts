import type { Facility } from '../../audit/sinks/syslog.ts';
import type { ListenerConfig } from './listeners.ts';
import type { RouteConfig, UpstreamConfig } from './routes.ts';
import type { AcceptConfig, RuleConfig } from './rules.ts';
import type { OneOrMany, Secret } from './values.ts';

/**
 * The configuration of a server: the keys of garter.yaml (docs/configuration.md) as an object. Relative paths
 * are relative to the working directory. Durations are strings such as `500ms`, `30s`, `15m`, `8h` or `2d`,
 * sizes such as `512MiB` or `10GB`. A key that is `undefined` counts as absent.
 */
export interface ServerConfig {
  /** The addresses to listen on; a string is an address. @default '127.0.0.1:1080' */
  readonly listen?: OneOrMany<string | ListenerConfig> | undefined;
  /** Users with passwords. @default none */
  readonly users?: UsersConfig | undefined;
  /**
   * Applied before any byte is read; the first match decides, and a connection that no rule matches is
   * closed.
   * @default every connection is accepted
   */
  readonly accept?: readonly AcceptConfig[] | undefined;
  /**
   * Applied to each request; the first match decides, and a request that no rule matches is refused.
   * @default everything that can be routed is allowed; loopback and this machine's own addresses to clients
   * on loopback only
   */
  readonly rules?: readonly RuleConfig[] | undefined;
  /**
   * How connections leave; the first match decides, and a request that no route matches is refused.
   * @default everything leaves directly
   */
  readonly routes?: readonly RouteConfig[] | undefined;
  /** Other proxy servers, for use in routes, by name; a string is a URL. @default none */
  readonly upstreams?: Readonly<Record<string, string | UpstreamConfig>> | undefined;
  /** How names are resolved. */
  readonly resolve?: ResolveConfig | undefined;
  /**
   * Prefixes of NAT64 translators in this network (`64:ff9b::/96`): an address in one of them is treated as
   * the IPv4 address it contains.
   * @default none
   */
  readonly nat64?: OneOrMany<string> | undefined;
  /** Time-outs. */
  readonly timeouts?: TimeoutsConfig | undefined;
  /** Limits on connections that apply before their requests are known. */
  readonly limits?: ConnectionLimitsConfig | undefined;
  /** The log. Without `to` no line is written. */
  readonly log?: LogConfig | undefined;
  /** The file that preserves quotas across restarts. @default none, and rules cannot have quotas */
  readonly state?: string | undefined;
  /** `host:port` of an HTTP server that answers `GET /healthz` and `/readyz`. @default none */
  readonly health?: string | undefined;
  /** Whether loopback listeners answer `GET /proxy.pac`, for browsers on this machine. @default false */
  readonly pac?: boolean | undefined;
  /**
   * What happens to open sessions when their rule no longer applies, for rules without `revoke`.
   * @default 'close'
   */
  readonly revoke?: 'close' | 'keep' | undefined;
  /** The implementation of sockets: `fast` requires Linux, `auto` uses it where it works. @default 'auto' */
  readonly engine?: 'auto' | 'fast' | 'portable' | undefined;
  /**
   * Threads of the fast engine; `auto` is one per core. Not changed by a reload.
   * @default 1: the calling thread
   */
  readonly workers?: 'auto' | number | undefined;
}

/** The additional keys of a configuration file. */
export interface FileConfig extends ServerConfig {
  /** The user to switch to once the listeners are bound, when started as root. @default none */
  readonly 'run-as'?: string | undefined;
  /** The file that contains the process id while it runs; a stale one is replaced. @default none */
  readonly 'pid-file'?: string | undefined;
  /**
   * The unix socket for `garter status`, `garter reload` and the like: `unix:/path`, or `off`.
   * @default control.sock in the runtime directory of the service or beside `state`, otherwise none
   */
  readonly control?: string | false | undefined;
}

export interface UsersConfig {
  /** A users file made by `garter user`; read again when it changes. It must not be writable by others. */
  readonly file?: string | undefined;
  /** A single user, instead of or in addition to the file. */
  readonly name?: string | undefined;
  /** The password of that user. */
  readonly password?: Secret | undefined;
}

export interface ResolveConfig {
  /**
   * Name servers, in the order in which they are asked: `10.0.0.53`, `tls://10.0.0.53#dns.example` or
   * `https://10.0.0.53/dns-query#dns.example`.
   * @default the system's
   */
  readonly servers?: OneOrMany<string> | undefined;
  /** Addresses of names, in place of those of the name servers: `{ 'db.internal': '10.0.0.7' }`. @default none */
  readonly hosts?: Readonly<Record<string, OneOrMany<string>>> | undefined;
  /** The address families to use, or to prefer. @default 'any' */
  readonly family?: 'any' | 'prefer-ipv4' | 'ipv4' | 'ipv6' | undefined;
  /** For one name, in total. @default '5s' */
  readonly timeout?: string | undefined;
}

export interface TimeoutsConfig {
  /** From the connection to its request, in total. @default '15s' */
  readonly handshake?: string | undefined;
  /** From the request to the connection with the destination, name resolution included. @default '30s' */
  readonly connect?: string | undefined;
  /** How long BIND waits for a connection. @default '2m' */
  readonly bind?: string | undefined;
  /** Without a byte in either direction. @default '2h' */
  readonly idle?: string | undefined;
  /** Without a byte once one side has ended. @default '5m' */
  readonly 'half-close'?: string | undefined;
  /** Without a datagram in either direction. @default '3m' */
  readonly 'udp-idle'?: string | undefined;
  /** How long `drain()` waits for open sessions. @default '30s' */
  readonly drain?: string | undefined;
}

export interface ConnectionLimitsConfig {
  /** Concurrent client connections. @default 10000, fewer where descriptors are scarce */
  readonly connections?: number | undefined;
  /** Concurrent client connections per address (IPv6: /64). @default no limit */
  readonly 'per-address'?: number | undefined;
  /**
   * Connections that have not made a request yet, like OpenSSH's MaxStartups: `60:30:100` drops 30 % from 60
   * on, rising to all at 100.
   * @default '500:30:1000'
   */
  readonly unauthenticated?: string | undefined;
  /**
   * Resident memory above which new connections are refused.
   * @default 80 % of the memory of the machine or container
   */
  readonly memory?: string | undefined;
}

export interface LogConfig {
  /** Less severe lines are not produced, nor passed to `onLog`. @default 'info' */
  readonly level?: 'error' | 'warn' | 'info' | 'debug' | undefined;
  /** The format of written lines. @default 'text' */
  readonly format?: 'text' | 'json' | undefined;
  /**
   * Where lines are written; each place has its own queue.
   * @default none; for `garter serve`, standard error
   */
  readonly to?: OneOrMany<LogPlaceConfig> | undefined;
  /** Where warnings and errors are written as well. @default none */
  readonly errors?: OneOrMany<LogPlaceConfig> | undefined;
  /** How often a session that lasts is recorded before its end: `'10m'`. @default never */
  readonly interim?: string | undefined;
}

/**
 * A standard stream, a file, or a syslog server: `udp://ADDRESS:PORT`, `tcp://ADDRESS:PORT`, or `local` for the local
 * one. `facility`: a name of RFC 5424, in syslog's spelling. @default 'daemon'
 */
export type LogPlaceConfig =
  | 'stderr'
  | 'stdout'
  | { readonly file: string }
  | { readonly syslog: string; readonly facility?: Facility | undefined };
