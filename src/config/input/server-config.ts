import type { ListenerConfig } from './listeners.ts';
import type { RouteConfig, UpstreamConfig } from './routes.ts';
import type { AcceptConfig, RuleConfig } from './rules.ts';
import type { OneOrMany, Secret } from './values.ts';

/**
 * The configuration of a server: the keys of garter.yaml (docs/configuration.md), as an object. Relative paths are relative to the
 * working directory. Durations are texts such as `500ms`, `30s`, `15m`, `8h` or `2d`, sizes such as `512MiB` or `10GB`. A key that is
 * `undefined` counts as left out.
 */
export interface ServerConfig {
  /** The addresses where clients connect. @default [{ address: '127.0.0.1:1080' }] */
  readonly listen?: readonly ListenerConfig[] | undefined;
  /** Who may log in with a password. @default nobody */
  readonly users?: UsersConfig | undefined;
  /**
   * Asked before any byte is read; the first match decides, and a connection that no rule matches is closed.
   * @default every connection is accepted
   */
  readonly accept?: readonly AcceptConfig[] | undefined;
  /**
   * Asked about each request; the first match decides, and a request that no rule matches is refused.
   * @default everything that can be routed is allowed; loopback and this machine's own addresses to clients on loopback only
   */
  readonly rules?: readonly RuleConfig[] | undefined;
  /** How connections leave; the first match decides, and what no route matches is refused. @default everything leaves directly */
  readonly routes?: readonly RouteConfig[] | undefined;
  /** Other proxy servers for routes to go through, by name; text is the URL of one. @default none */
  readonly upstreams?: Readonly<Record<string, string | UpstreamConfig>> | undefined;
  /** How names become addresses. */
  readonly resolve?: ResolveConfig | undefined;
  /**
   * Prefixes by which a NAT64 of this network translates (`64:ff9b::/96`): an address in one of them stands for the IPv4 address
   * inside. @default none
   */
  readonly nat64?: OneOrMany<string> | undefined;
  /** How long to wait. */
  readonly timeouts?: TimeoutsConfig | undefined;
  /** Limits on connections, before their requests are known. */
  readonly limits?: ConnectionLimitsConfig | undefined;
  /** Log lines. Without `to` no line is written. */
  readonly log?: LogConfig | undefined;
  /** The file that keeps quotas across restarts. @default none, and no rule may have a quota */
  readonly state?: string | undefined;
  /** `host:port` of an HTTP server that answers `GET /healthz` and `/readyz`. @default none */
  readonly health?: string | undefined;
  /** Loopback listeners answer `GET /proxy.pac` for the browsers of this machine. @default false */
  readonly pac?: boolean | undefined;
  /** What happens to open sessions when their rule no longer applies, for rules that do not say. @default 'close' */
  readonly revoke?: 'close' | 'keep' | undefined;
  /** Which implementation of sockets: `fast` needs Linux, `auto` takes it where it works. @default 'auto' */
  readonly engine?: 'auto' | 'fast' | 'portable' | undefined;
  /** Threads of the fast engine; `auto` is one per core. A reload does not change it. @default 1: the thread that calls */
  readonly workers?: 'auto' | number | undefined;
}

/** What a configuration file may have beyond that. */
export interface FileConfig extends ServerConfig {
  /** The user to become once the listeners are bound, when started as root. @default none */
  readonly 'run-as'?: string | undefined;
}

export interface UsersConfig {
  /** A users file as `garter user` makes it; read again when it changes. Nobody but its owner may be able to write to it. */
  readonly file?: string | undefined;
  /** A single user, instead of or in addition to the file. */
  readonly name?: string | undefined;
  /** The password of that user. */
  readonly password?: Secret | undefined;
}

export interface ResolveConfig {
  /**
   * Name servers, in the order in which they are asked: `10.0.0.53`, `tls://10.0.0.53#dns.example` or
   * `https://10.0.0.53/dns-query#dns.example`. @default the system's
   */
  readonly servers?: OneOrMany<string> | undefined;
  /** Which addresses of a name are used. @default 'any' */
  readonly family?: 'any' | 'ipv4' | 'ipv6' | undefined;
  /** For a name, in all. @default '5s' */
  readonly timeout?: string | undefined;
}

export interface TimeoutsConfig {
  /** From the connection to its request, in all. @default '15s' */
  readonly handshake?: string | undefined;
  /** From the request to the connection with the destination, name resolution included. @default '30s' */
  readonly connect?: string | undefined;
  /** How long BIND waits for its connection. @default '2m' */
  readonly bind?: string | undefined;
  /** Without a byte in either direction. @default '2h' */
  readonly idle?: string | undefined;
  /** After one side has ended. @default '5m' */
  readonly 'half-close'?: string | undefined;
  /** Without a datagram in either direction. @default '3m' */
  readonly 'udp-idle'?: string | undefined;
  /** How long `drain()` waits for open sessions. @default '30s' */
  readonly drain?: string | undefined;
}

export interface ConnectionLimitsConfig {
  /** Client connections at a time. @default 10000, fewer where descriptors are short */
  readonly connections?: number | undefined;
  /** Client connections at a time of each address (IPv6: /64). @default no limit */
  readonly 'per-address'?: number | undefined;
  /**
   * Connections that have not made their request yet, like OpenSSH's MaxStartups: `60:30:100` drops 30 of 100 from 60 on, and all
   * from 100 on. @default '500:30:1000'
   */
  readonly unauthenticated?: string | undefined;
  /** Resident memory beyond which new connections are refused. @default 80 % of what the machine or container has */
  readonly memory?: string | undefined;
}

export interface LogConfig {
  /** Lines below it are not made, for `onLog` neither. @default 'info' */
  readonly level?: 'error' | 'warn' | 'info' | 'debug' | undefined;
  /** Of the lines that are written. @default 'text' */
  readonly format?: 'text' | 'json' | undefined;
  /**
   * Where lines are written: standard error, a file, or a syslog server (`udp://ADDRESS:PORT`, `tcp://ADDRESS:PORT`, or `local` for
   * the one of this machine). @default nowhere; of `garter serve`, standard error
   */
  readonly to?: 'stderr' | { readonly file: string } | { readonly syslog: string } | undefined;
}
