import type { LogSettings } from '../audit/log.ts';
import type { UsersSettings } from '../auth/local-users.ts';
import type { EngineName } from '../net/choose.ts';
import type { UnixSocket } from '../net/engine.ts';
import type { Endpoint } from '../wire/address.ts';
import type { Method, Origin, PolicyOptions, PortRange, Protocol } from '../policy/policy.ts';
import type { ResolveOptions } from '../resolve/resolver.ts';
import type { RouteOptions } from '../route/options.ts';

/**
 * All settings of a server, validated and complete: config/ creates them from a file, flags or an object.
 * Milliseconds and bytes.
 */
export interface Settings {
  readonly listeners: readonly ListenerSettings[];
  readonly policy: PolicyOptions;
  /** The routes; `undefined` = everything goes out directly. */
  readonly routes?: readonly RouteOptions[];
  readonly users?: UsersSettings;
  readonly resolve: ResolveOptions;
  readonly timeouts: Timeouts;
  readonly log: LogSettings;
  /** Milliseconds between two records of a session that lasts. @default it has one, at its end */
  readonly interim?: number;
  readonly limits: ConnectionLimitSettings;
  /** Keeps quotas across restarts. */
  readonly stateFile?: string;
  readonly health?: Endpoint;
  /** The path of the control socket, for `garter serve`; `false` = none. @default where the machine has a place */
  readonly control?: string | false;
  /** The file for its process id, for `garter serve`. */
  readonly pidFile?: string;
  /** A user of this machine, for `garter serve`. */
  readonly runAs?: string;
  readonly engine: EngineName;
  /** Threads; `auto` is one per core on the fast engine, else one. */
  readonly workers: number | 'auto';
}

export interface ConnectionLimitSettings {
  readonly connections: number;
  /** The configuration asks for that many: a warning if they are not possible. @default false */
  readonly demanded?: boolean;
  readonly perAddress?: number;
  readonly unauthenticated: EarlyDrop;
  /** Bytes of resident memory. @default 80 % of the memory of the machine or container */
  readonly memory?: number;
}

/** Like OpenSSH's MaxStartups: from `start` on a percentage is dropped, which rises to 100 at `full`. */
export interface EarlyDrop {
  readonly start: number;
  readonly percent: number;
  readonly full: number;
}

export interface ListenerSettings {
  /** For conditions. @default its address */
  readonly name?: string;
  /**
   * A literal address, a unix socket, systemd's name of passed sockets ('' = any), or a socket that the
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
  /** For BIND. @default any free port, at the address that the TCP connection reached */
  readonly bind?: BindSettings;
  /** @default 'ipv4-first' */
  readonly resolve?: ResolveOrder;
  /** Accepts only connections that arrive on this network interface; requires the fast engine. */
  readonly interface?: string;
  readonly tls?: TlsSettings;
  /** Serves a proxy.pac to browsers; set only for listeners that no other machine can reach. */
  readonly pac?: true;
  /** Peers that must send a PROXY header; address conditions. */
  readonly balancers?: readonly string[];
  readonly origin?: Origin;
}

/** Certificates and keys as PEM texts. */
export interface TlsSettings {
  readonly cert: string;
  readonly key: string;
  /** The CAs of client certificates, which are then requested. */
  readonly clientCa?: string;
  /** For the tickets of all threads: 48 random bytes, new with each reload. */
  readonly ticketKeys: Uint8Array;
}

/**
 * The address that RESOLVE returns for a name: an IPv4 one if there is any, or the first in the order of RFC
 * 6724.
 */
export type ResolveOrder = 'ipv4-first' | 'system';

/**
 * The address to announce to the clients of a network, or a name for it; the first match decides. If none
 * matches, it is the address that the TCP connection reached.
 */
export interface Advertised {
  readonly network: string;
  readonly address: string;
}

export interface BindSettings {
  /** Ports where peers are awaited; `undefined` = any free one. */
  readonly ports?: PortRange;
  readonly advertise: readonly Advertised[];
}

export interface UdpSettings {
  /** One port for all associations; then there are no `ports`. */
  readonly port?: number;
  /** Ports of the relay's client side; `undefined` = any free one. */
  readonly ports?: PortRange;
  readonly advertise: readonly Advertised[];
  readonly replies: 'peers' | 'any';
  /** Whether a client must declare its source port, and only that port is accepted. @default 'hint' */
  readonly declaredPort?: 'require' | 'hint';
}

/**
 * Datagrams at one port for all associations can be anyone's, and only the thread that has the association
 * can tell: so they need a single thread.
 */
export function hasSharedPort({ udp }: ListenerSettings): boolean {
  return udp.port !== undefined;
}

export interface Timeouts {
  /** From accept to the request. */
  readonly handshake: number;
  /** From the request to the connection, including name resolution. */
  readonly connect: number;
  readonly bind: number;
  readonly idle: number;
  readonly halfClose: number;
  readonly udpIdle: number;
  readonly drain: number;
}
