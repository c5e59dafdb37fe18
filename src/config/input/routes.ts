import type { CommandWord, OneOrMany, Ports, Secret } from './values.ts';

/** An entry of `routes`. */
export interface RouteConfig {
  /** For records and messages. @default 'route-1', 'route-2', … */
  readonly name?: string | undefined;
  /** Destinations, as in rules; `any` is everything here. */
  readonly to: OneOrMany<string>;
  /** What the request asks for. @default all */
  readonly command?: OneOrMany<CommandWord> | undefined;
  /** Clients: CIDRs, addresses and sets. @default all */
  readonly from?: OneOrMany<string> | undefined;
  /** Authenticated users, and groups as `@group`. @default all, anonymous ones too */
  readonly user?: OneOrMany<string> | undefined;
  /** Ports of the destination. @default all */
  readonly port?: OneOrMany<Ports> | undefined;
  /** `direct`, the name of an upstream, or the URL of a proxy server. */
  readonly via: string;
  /**
   * Addresses of this machine from which connections leave, or network interfaces, on which they stay (fast engine only).
   * @default the system's choice
   */
  readonly egress?: OneOrMany<string> | undefined;
  /**
   * Which of several: the first, the one that the system would take, the one that the client connected to, or a random one.
   * @default 'none', the first
   */
  readonly rotate?: 'none' | 'route' | 'same-as-incoming' | 'random' | undefined;
  /** Names are resolved here even where the upstream would do it. @default the upstream does, where it can */
  readonly resolve?: 'here' | undefined;
  /** Name servers for this route. @default `resolve.servers` */
  readonly dns?: OneOrMany<string> | undefined;
}

/** How to log in to a server, and how to speak TLS with it. */
export interface ServerLoginConfig {
  /** User name and password, where they are not part of the URL. @default none */
  readonly login?: LoginConfig | undefined;
  /** `client`: what the client has shown is shown to the server. @default nothing of the client's */
  readonly credentials?: 'client' | undefined;
  /** Of a server whose URL says that it speaks TLS. */
  readonly tls?: LinkConfig | undefined;
}

/** An entry of `upstreams`. It has exactly one of `url`, `servers`, `chain` and `discover`. */
export interface UpstreamConfig extends ServerLoginConfig {
  /** A proxy server: `socks4`, `socks4a`, `socks5`, `socks5h` or `http`; over TLS with `+tls` behind it, and `https`. */
  readonly url?: string | undefined;
  /** A group: servers, chains and other groups, one of which is used. Text is a URL, or the name of an upstream. */
  readonly servers?: OneOrMany<string | MemberConfig> | undefined;
  /** Servers one behind the other, the nearest first: URLs and names of upstreams. */
  readonly chain?: OneOrMany<string> | undefined;
  /** A group whose servers are in SRV records: the name of these, such as `_socks5._tcp.example.org`. */
  readonly discover?: string | undefined;
  /** Which member of a group is tried first. @default 'order'; with `discover`, 'random' */
  readonly choose?: 'order' | 'random' | 'round-robin' | 'least-sessions' | 'source-hash' | undefined;
  /** When a member of a group is passed over, and for how long. */
  readonly health?: HealthConfig | undefined;
  /** Members of a group that are tried for one connection. @default 3 */
  readonly tries?: number | undefined;
  /** Datagrams where links are encrypted: refuse them, or send them in clear. @default 'refuse' */
  readonly udp?: 'refuse' | 'clear' | undefined;
}

export interface MemberConfig extends ServerLoginConfig {
  /** The URL of a server, or the name of an upstream. */
  readonly url: string;
  /** Its share, beside those of the others. @default 1 */
  readonly weight?: number | undefined;
}

export interface LoginConfig {
  /** The user name that the server is shown. */
  readonly name: string;
  /** The password that the server is shown. */
  readonly password: Secret;
}

export interface HealthConfig {
  /** Failures in a row until a server is passed over. @default 1 */
  readonly fail?: number | undefined;
  /** Servers are checked as well: the time between two checks. @default never */
  readonly every?: string | undefined;
  /** Successes in a row, in use and in checks, until it is up again. @default 1 */
  readonly recover?: number | undefined;
  /** `host:port` that a server has to connect to in a check. @default nothing, it is only greeted */
  readonly connect?: string | undefined;
}

/** Paths of PEM files, but for `name` and `pin`. */
export interface LinkConfig {
  /** The name that the certificate has to be for. @default the host in the URL */
  readonly name?: string | undefined;
  /** CAs that may have issued it. @default the system's */
  readonly ca?: string | undefined;
  /** The certificate that is shown to a server that asks for one. @default none */
  readonly cert?: string | undefined;
  /** Its private key; nobody else may be able to read the file. */
  readonly key?: string | undefined;
  /**
   * SHA-256 of the server's public key, as `sha256/` and base64; of several, one has to match. Without `ca`, no CA is asked then.
   * @default none
   */
  readonly pin?: OneOrMany<string> | undefined;
}
