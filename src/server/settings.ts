import type { LogSettings } from '../audit/log.ts';
import type { UsersSettings } from '../auth/authenticator.ts';
import type { Endpoint } from '../net/engine.ts';
import type { Method, Origin, PolicyOptions, PortRange, Protocol } from '../policy/policy.ts';
import type { ResolveOptions } from '../resolve/resolver.ts';

/** Everything that a server is told, checked and complete: config/ makes it of a file, of flags or of an object. Milliseconds and bytes. */
export interface Settings {
  readonly listeners: readonly ListenerSettings[];
  readonly policy: PolicyOptions;
  readonly users?: UsersSettings;
  readonly resolve: ResolveOptions;
  readonly timeouts: Timeouts;
  readonly log: LogSettings;
  readonly engine: 'auto' | 'portable';
}

export interface ListenerSettings {
  /** A literal address; port 0 takes a free one. */
  readonly address: Endpoint;
  readonly protocols: readonly Protocol[];
  /** By preference. */
  readonly methods: readonly Method[];
  readonly udp: UdpSettings;
  readonly origin?: Origin;
}

export interface UdpSettings {
  /** Ports of the relay's client side; `undefined` = any free one. */
  readonly ports?: PortRange;
  /** The address to announce, by client network; the first match decides. Default: the address that the TCP connection reached. */
  readonly advertise: readonly { readonly network: string; readonly address: string }[];
  readonly replies: 'peers' | 'any';
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
