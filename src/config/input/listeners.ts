import type { Method, Protocol } from '../../policy/policy.ts';
import type { OneOrMany, Ports } from './values.ts';

/** An entry of `listen`. */
export interface ListenerConfig {
  /**
   * `host:port`, `[v6]:port`, or `interface:port` for every address of the interface; `unix:/path`; `systemd` or `systemd:NAME` for
   * the sockets that systemd passes. Port 0 takes any free port.
   */
  readonly address: string;
  /** Who may connect to a unix socket, in octal digits. @default '0660' */
  readonly mode?: number | string | undefined;
  /** Only connections that arrive on this network interface are accepted; needs the fast engine. @default any */
  readonly interface?: string | undefined;
  /** Told apart by the first byte. @default ['socks5', 'socks4'] */
  readonly protocols?: OneOrMany<Protocol> | undefined;
  /**
   * Authentication methods, in order of preference.
   * @default 'certificate' with `client-ca`, 'password' where there are users or an `authenticate`, else 'none'
   */
  readonly methods?: OneOrMany<Method> | undefined;
  /** TLS 1.3 before anything else. @default none */
  readonly tls?: ListenerTlsConfig | undefined;
  /** The PROXY protocol, versions 1 and 2. @default none */
  readonly 'proxy-protocol'?: ProxyProtocolConfig | undefined;
  /** UDP ASSOCIATE. */
  readonly udp?: UdpConfig | undefined;
  /**
   * Which address of a name RESOLVE answers with: an IPv4 one where there is one, or the first in the order of RFC 6724.
   * @default 'ipv4-first'
   */
  readonly resolve?: 'ipv4-first' | 'system' | undefined;
}

/** Paths of PEM files. */
export interface ListenerTlsConfig {
  /** The certificate, and those of the CAs between it and the root. */
  readonly cert: string;
  /** Its private key; nobody else may be able to read the file. */
  readonly key: string;
  /** CAs whose certificates clients have to show. @default clients show none */
  readonly 'client-ca'?: string | undefined;
}

export interface ProxyProtocolConfig {
  /** The balancers (CIDRs, addresses and sets): they have to send a header, and nobody else may. */
  readonly from: OneOrMany<string>;
}

export interface UdpConfig {
  /** Ports for the datagrams of clients. @default any free port */
  readonly ports?: Ports | undefined;
  /** The address to tell clients, by client network. @default the one that the TCP connection reached */
  readonly advertise?: Readonly<Record<string, string>> | undefined;
  /** Whose datagrams come back: only from an address and port already sent to, or from anyone. @default 'peers' */
  readonly replies?: 'peers' | 'any' | undefined;
  /**
   * The port that a client says it will send from: it has to say one and is heard from there only, or NAT may change it.
   * @default 'hint'
   */
  readonly 'declared-port'?: 'require' | 'hint' | undefined;
}
