import type { Method, Protocol } from '../../policy/policy.ts';
import type { OneOrMany, Ports } from './values.ts';

/** An entry of `listen`. */
export interface ListenerConfig {
  /** For `listener` of rules and routes. @default none: they use its address */
  readonly name?: string | undefined;
  /**
   * `host:port`, `[v6]:port`, or `interface:port` for every address of the interface; `unix:/path`; `systemd`
   * or `systemd:NAME` for sockets passed by systemd. Port 0 takes any free port.
   */
  readonly address: string;
  /** Permissions of a unix socket, in octal. @default '0660' */
  readonly mode?: number | string | undefined;
  /**
   * Accepts only connections that arrive on this network interface; requires the fast engine.
   * @default any
   */
  readonly interface?: string | undefined;
  /** Distinguished by the first byte. @default ['socks5', 'socks4'] */
  readonly protocols?: OneOrMany<Protocol> | undefined;
  /**
   * Authentication methods, in order of preference.
   * @default 'certificate' with `client-ca`, 'password' with users or an `authenticate` function, else 'none'
   */
  readonly methods?: OneOrMany<Method> | undefined;
  /** TLS 1.3 before anything else. @default none */
  readonly tls?: ListenerTlsConfig | undefined;
  /** The PROXY protocol, versions 1 and 2. @default none */
  readonly 'proxy-protocol'?: ProxyProtocolConfig | undefined;
  /** UDP ASSOCIATE. */
  readonly udp?: UdpConfig | undefined;
  /** BIND. */
  readonly bind?: BindConfig | undefined;
  /**
   * The address that RESOLVE returns: an IPv4 one if there is one, or the first in the order of RFC 6724.
   * @default 'ipv4-first'
   */
  readonly resolve?: 'ipv4-first' | 'system' | undefined;
}

/** Paths of PEM files. */
export interface ListenerTlsConfig {
  /** The certificate, followed by those of intermediate CAs. */
  readonly cert: string;
  /** Its private key; the file must not be readable by others. */
  readonly key: string;
  /** CAs for client certificates, which are then required. @default none: no client certificates */
  readonly 'client-ca'?: string | undefined;
}

export interface ProxyProtocolConfig {
  /** The load balancers (CIDRs, addresses and sets): they must send a header, and no other client may. */
  readonly from: OneOrMany<string>;
}

export interface BindConfig {
  /** Ports where peers are awaited. @default any free port */
  readonly ports?: Ports | undefined;
  /** As for UDP. @default the address that the port is bound to */
  readonly advertise?: Readonly<Record<string, string>> | undefined;
}

export interface UdpConfig {
  /** One port for the datagrams of all clients, instead of `ports`; it requires a single thread. @default none */
  readonly port?: number | undefined;
  /** Ports for the datagrams of clients. @default any free port */
  readonly ports?: Ports | undefined;
  /**
   * The address to return to clients, or a name that is resolved for each request, by client network.
   * @default the one that the TCP connection reached
   */
  readonly advertise?: Readonly<Record<string, string>> | undefined;
  /** Which senders may reply: only addresses and ports already sent to, or any. @default 'peers' */
  readonly replies?: 'peers' | 'any' | undefined;
  /**
   * The source port that a client declares: required and enforced, or a hint, which NAT may change.
   * @default 'hint'
   */
  readonly 'declared-port'?: 'require' | 'hint' | undefined;
}
