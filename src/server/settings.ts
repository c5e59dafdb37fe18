import type { LogSettings } from '../audit/log.ts';
import type { UsersSettings } from '../auth/local-users.ts';
import type { EngineName } from '../net/choose.ts';
import type { UnixSocket } from '../net/engine.ts';
import type { Endpoint } from '../wire/address.ts';
import type { Method, Origin, PolicyOptions, PortRange, Protocol } from '../policy/policy.ts';
import type { ResolveOptions } from '../resolve/resolver.ts';
import type { RouteOptions } from '../route/options.ts';

/** All settings of a server, checked and complete: config/ makes them from a file, flags or an object. Milliseconds and bytes. */
export interface Settings {
  readonly listeners: readonly ListenerSettings[];
  readonly policy: PolicyOptions;
  /** The ways out; `undefined` = everything goes directly. */
  readonly routes?: readonly RouteOptions[];
  readonly users?: UsersSettings;
  readonly resolve: ResolveOptions;
  readonly timeouts: Timeouts;
  readonly log: LogSettings;
  readonly limits: ConnectionLimitSettings;
  /** Keeps quotas across restarts. */
  readonly stateFile?: string;
  readonly health?: Endpoint;
  /** A user of this machine, for `garter serve`. */
  readonly runAs?: string;
  readonly engine: EngineName;
  /** Threads; `auto` is one per core on the fast engine, else one. */
  readonly workers: number | 'auto';
}

export interface ConnectionLimitSettings {
  readonly connections: number;
  readonly perAddress?: number;
  readonly unauthenticated: EarlyDrop;
  /** Bytes of resident memory. @default 80 % of what the machine or container has */
  readonly memory?: number;
}

/** As OpenSSH's MaxStartups: from `start` on a percentage is dropped, which rises to all at `full`. */
export interface EarlyDrop {
  readonly start: number;
  readonly percent: number;
  readonly full: number;
}

export interface ListenerSettings {
  /**
   * A literal address, a unix socket, what systemd calls the sockets that it passes ('' = by any name), or one that the
   * server's own thread has opened for others.
   */
  readonly address:
    | Endpoint
    | UnixSocket
    | { readonly activated: string }
    | { readonly shared: number; readonly place: string };
  readonly protocols: readonly Protocol[];
  /** By preference. */
  readonly methods: readonly Method[];
  readonly udp: UdpSettings;
  /** @default 'ipv4-first' */
  readonly resolve?: ResolveOrder;
  /** Only what arrives on this network interface is let in; needs the fast engine. */
  readonly interface?: string;
  readonly tls?: TlsSettings;
  /** Browsers get a proxy.pac here; only where nobody else can ask. */
  readonly pac?: true;
  /** Peers that have to send a PROXY header; address conditions. */
  readonly balancers?: readonly string[];
  readonly origin?: Origin;
}

/** Certificates and keys as PEM texts. */
export interface TlsSettings {
  readonly cert: string;
  readonly key: string;
  /** Who issues the certificates of clients, which are asked for then. */
  readonly clientCa?: string;
  /** For the tickets of all threads: 48 random bytes, new ones with each reload. */
  readonly ticketKeys: Uint8Array;
}

/** Which address of a name RESOLVE answers with: an IPv4 one where there is one, or the first in the order of RFC 6724. */
export type ResolveOrder = 'ipv4-first' | 'system';

export interface UdpSettings {
  /** Ports of the relay's client side; `undefined` = any free one. */
  readonly ports?: PortRange;
  /** The address to announce, by client network; the first match decides. Default: the address that the TCP connection reached. */
  readonly advertise: readonly { readonly network: string; readonly address: string }[];
  readonly replies: 'peers' | 'any';
  /** Whether a client has to say which port it will send from, and is heard from there only. @default 'hint' */
  readonly declaredPort?: 'require' | 'hint';
}

export interface Timeouts {
  /** From accept to the request, in all. */
  readonly handshake: number;
  /** From the request to the connection, name resolution included. */
  readonly connect: number;
  readonly bind: number;
  readonly idle: number;
  readonly halfClose: number;
  readonly udpIdle: number;
  readonly drain: number;
}
