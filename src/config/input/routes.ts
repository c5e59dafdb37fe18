import type { CommandWord, ListFile, OneOrMany, Ports, Secret } from './values.ts';

/** An entry of `routes`. */
export interface RouteConfig {
  /** For records and messages. @default 'route-1', 'route-2', … */
  readonly name?: string | undefined;
  /** Destinations, as in rules; here `any` matches everything. */
  readonly to: OneOrMany<string | ListFile>;
  /** Commands. @default all */
  readonly command?: OneOrMany<CommandWord> | undefined;
  /** Listeners, by name or address. @default all */
  readonly listener?: OneOrMany<string> | undefined;
  /** Clients: CIDRs, addresses and sets. @default all */
  readonly from?: OneOrMany<string | ListFile> | undefined;
  /** Authenticated users, and groups as `@group`. @default all, including anonymous clients */
  readonly user?: OneOrMany<string | ListFile> | undefined;
  /** Ports of the destination. @default all */
  readonly port?: OneOrMany<Ports | ListFile> | undefined;
  /** `direct`, the name of an upstream, or the URL of a proxy server. */
  readonly via: string;
  /**
   * Addresses of this machine that connections leave from, or network interfaces that they are bound to (fast
   * engine only).
   * @default the system's choice
   */
  readonly egress?: OneOrMany<string> | undefined;
  /**
   * Which of several addresses: the first, the one the system would use, the one the client connected to, or
   * a random one.
   * @default 'none', the first
   */
  readonly rotate?: 'none' | 'route' | 'same-as-incoming' | 'random' | undefined;
  /** Resolves names locally even if the upstream could. @default the upstream resolves, where it can */
  readonly resolve?: 'here' | undefined;
  /** Name servers for this route. @default `resolve.servers` */
  readonly dns?: OneOrMany<string> | undefined;
  /**
   * The PROXY header, version 1 or 2, with the client's address: TCP connections to destinations, or to the
   * nearest upstream, begin with it. Datagrams and the peers of BIND get none.
   * @default no header
   */
  readonly 'send-proxy'?: 'v1' | 'v2' | undefined;
}

/** The login to a server, and its TLS options. */
export interface ServerLoginConfig {
  /** User name and password, if they are not part of the URL. @default none */
  readonly login?: LoginConfig | undefined;
  /** `client`: passes the client's credentials to the server. @default none of the client's */
  readonly credentials?: 'client' | undefined;
  /** For a server whose URL specifies TLS. */
  readonly tls?: LinkConfig | undefined;
}

/** An entry of `upstreams`. It has exactly one of `url`, `servers`, `chain` and `discover`. */
export interface UpstreamConfig extends ServerLoginConfig {
  /**
   * A proxy server: `socks4`, `socks4a`, `socks5`, `socks5h` or `http`; with `+tls` appended, or `https`,
   * over TLS.
   */
  readonly url?: string | undefined;
  /**
   * A group: servers, chains and other groups, one of which is used. Text is a URL, or the name of an upstream;
   * `direct` at the end: when none can be used, requests leave directly.
   */
  readonly servers?: OneOrMany<string | MemberConfig> | undefined;
  /** Servers in sequence, nearest first: URLs and names of upstreams. */
  readonly chain?: OneOrMany<string> | undefined;
  /** A group whose servers are listed in SRV records: their name, such as `_socks5._tcp.example.org`. */
  readonly discover?: string | undefined;
  /** Which member of a group is tried first. @default 'order'; with `discover`, 'random' */
  readonly choose?: 'order' | 'random' | 'round-robin' | 'least-sessions' | 'source-hash' | undefined;
  /** When and for how long a member of a group is skipped. */
  readonly health?: HealthConfig | undefined;
  /** Members of a group tried for one connection. @default 3 */
  readonly tries?: number | undefined;
  /** Datagrams over encrypted links: refuse them, or send them unencrypted. @default 'refuse' */
  readonly udp?: 'refuse' | 'clear' | undefined;
}

export interface MemberConfig extends ServerLoginConfig {
  /** The URL of a server, or the name of an upstream. */
  readonly url: string;
  /** Its share relative to the others. @default 1 */
  readonly weight?: number | undefined;
}

export interface LoginConfig {
  /** The user name sent to the server. */
  readonly name: string;
  /** The password sent to the server. */
  readonly password: Secret;
}

export interface HealthConfig {
  /** Consecutive failures before a server is skipped. @default 1 */
  readonly fail?: number | undefined;
  /** Enables checks: the time between two of them. @default never */
  readonly every?: string | undefined;
  /** Consecutive successes, in use and in checks, before it is up again. @default 1 */
  readonly recover?: number | undefined;
  /** `host:port` that a server must connect to in a check. @default none: only the handshake is checked */
  readonly connect?: string | undefined;
}

/** Paths of PEM files, except for `name` and `pin`. */
export interface LinkConfig {
  /** The name required in the certificate. @default the host in the URL */
  readonly name?: string | undefined;
  /** Trusted CAs. @default the system's */
  readonly ca?: string | undefined;
  /** The certificate to present to a server that requests one. @default none */
  readonly cert?: string | undefined;
  /** Its private key; the file must not be readable by others. */
  readonly key?: string | undefined;
  /**
   * SHA-256 of the server's public key, as `sha256/` and base64; one of several must match. Without `ca`, CAs
   * are then not checked.
   * @default none
   */
  readonly pin?: OneOrMany<string> | undefined;
}
