import type { Duplex } from 'node:stream';
import type { Endpoint } from '../wire/address.ts';

/**
 * The only interface between the layers above and the operating system's sockets. Engines work with handles
 * and numbers: nothing here needs a stream or an object per chunk, so that an engine can be built on bare
 * system calls as well as on node:net. With nothing open it holds no descriptor and does not keep the process
 * alive. The tests in `contract/` verify every engine.
 */
export interface Engine {
  readonly name: 'portable' | 'fast';
  /** Whether several threads, each with its own engine, can accept from the same listeners. */
  readonly sharesListeners: boolean;

  /**
   * What this user lacks to bind sockets to a network interface: `needs …`; `undefined` where it is possible.
   */
  deviceFault(): string | undefined;

  /**
   * Listens; port 0 takes a free one; `::` accepts IPv4 as well. `failed` receives the code when a connection
   * could not be accepted (EMFILE, …). Rejects with Node's error (EADDRINUSE, EACCES, …). Out of descriptors,
   * the portable engine reports nothing: libuv accepts and closes the waiting connections.
   */
  listen(
    at: ListenAt,
    accepted: (connection: Connection) => void,
    failed: (code: string) => void,
  ): Promise<Listener>;

  /**
   * Connects to one literal address, or a unix socket. Rejects with Node's error, ETIMEDOUT after `timeout`,
   * or the signal's reason.
   */
  connect(to: Endpoint | UnixPath, options: ConnectOptions): Promise<Connection>;

  /**
   * Joins two connections until both ends are done; early bytes go first. The connections then belong to the
   * relay: they must not be read, written or finished elsewhere. The end of a direction is passed on after
   * all its bytes. When a side fails or the relay is cut short, both are closed, with a reset if possible, so
   * that a truncated stream does not look complete; bytes in transit may be lost, as with any reset. The
   * failure of a side that is not being read, because the other takes nothing or it has ended, is noticed
   * within two seconds. `relayEnded` is called once both connections are closed.
   */
  relay(client: Connection, target: Connection, options: RelayOptions, owner: RelayOwner): Relay;

  /**
   * Binds a UDP socket to a literal address, for datagrams of its family only; port 0 takes a free one.
   * Rejects with Node's error.
   */
  udp(at: Endpoint, events: UdpEvents): Promise<UdpSocket>;

  /**
   * Wraps a stream opened elsewhere, such as a TLS socket, in a connection; `reset`, if given, is used to cut
   * it.
   */
  adopt(stream: Duplex, local: Endpoint, remote: Endpoint, reset?: Reset): Connection;
}

/**
 * A literal address, a unix socket, or a listening socket passed to this process by number. The ends of a
 * connection over a unix socket have no addresses: both are reported as 127.0.0.1 with port 0, as they are on
 * this machine.
 */
export type ListenAt = Endpoint | UnixSocket | PassedSocket;

/** Closes a stream so that it does not look complete. */
export interface Reset {
  resetAndDestroy(): void;
}

export interface PassedSocket {
  readonly fd: number;
  /** Shared with other threads, so it is not closed. Fast engine only. @default false */
  readonly shared?: boolean;
}

export interface UnixPath {
  readonly path: string;
}

/** A socket file left by a server that no longer runs is replaced. */
export interface UnixSocket extends UnixPath {
  /** File permissions, as for chmod(2). */
  readonly mode: number;
}

export interface Listener extends AsyncDisposable {
  /** With the actual port. */
  readonly local: Endpoint;
  /** For a unix socket. */
  readonly path?: string;
  /** The descriptor, if other threads can use it. */
  readonly fd?: number;
  /** Stops accepting; resolves when the port is free. Open connections stay open. */
  close(): Promise<void>;
}

export interface ConnectOptions {
  /**
   * Local address to connect from, which may have a zone, see `Endpoint`; ignored for a unix socket.
   * @default the kernel's choice
   */
  readonly from?: string;
  /** Milliseconds until ETIMEDOUT. */
  readonly timeout: number;
  readonly signal?: Signal;
}

/** The used part of an AbortSignal, so that cheaper objects can implement it. */
export interface Signal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Bytes that a connection keeps without a reader. */
export const EARLY_LIMIT = 65_536;

/**
 * One TCP connection. Both directions stay open until ended (half-close). Data is sent without delay
 * (TCP_NODELAY), and keep-alive is on; for a connection made by `connect`, it is turned on after a second in
 * a relay or by `onLost`. Data that arrives without a reader is kept up to `EARLY_LIMIT`; beyond that the TCP
 * window holds the peer back.
 */
export interface Connection {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Approximate bytes in memory. */
  readonly held: number;

  /**
   * Whether it was accepted on this network interface, as the kernel sees it; call it before the first read.
   * Only the fast engine knows, and only for TCP; otherwise false.
   */
  cameBy(interfaceName: string): boolean;

  /**
   * The next bytes, which the caller may keep; `undefined` once the peer has ended its direction. One read at
   * a time. Rejects with the socket's error, after the data kept by then (a reset may discard data held back
   * by the window), or with the reason given to `destroy`, which discards kept data.
   */
  read(): Promise<Uint8Array | undefined>;

  /** Puts back bytes that were read but not used: the next read, relay or detach sees them first. */
  unread(bytes: Uint8Array): void;

  /**
   * Queues a handshake message; the caller may reuse the bytes at once. Not for bulk: there is no
   * back-pressure. Ignored once the connection is lost.
   */
  write(bytes: Uint8Array): void;

  /**
   * Calls back once, when the connection fails or is destroyed without a reader, or without an error when the
   * peer ends its direction: this shows that a client has gone while it waits. One callback at a time. Not
   * called after the connection was passed to a relay, finished or detached.
   */
  onLost(lost: (error?: Error) => void): void;

  /**
   * Closes in order: sends what was written and the end of stream, then reads and discards until the peer has
   * ended, for at most `linger` milliseconds (an unread byte would turn the close into a reset that can
   * overtake the reply). Resolves when it is closed, by either side; ignored once the connection is lost or
   * belongs to a relay.
   */
  closeGracefully(linger: number): Promise<void>;

  /** Closes at once; a waiting read rejects with `reason`, and a relay ends as if this side had failed. */
  destroy(reason?: Error): void;

  /**
   * Converts the connection to a Node stream, for TLS or other transformations; unread bytes come first, and
   * what was written is still sent first. The stream behaves like a new one: it flows when it has a listener.
   * This object must not be used afterwards.
   */
  detach(): Duplex;
}

export interface RelayOptions {
  /** Milliseconds without a byte in either direction. 0 = no limit. */
  readonly idle: number;
  /**
   * Milliseconds without a byte once one direction has ended. 0 = no limit. A side that takes nothing is
   * waited for while its kernel answers; the portable engine cannot check that, and does not wait.
   */
  readonly halfClose: number;
  /** Milliseconds in total. 0 = no limit. */
  readonly duration: number;
  /** Bandwidth from the client to the target. @default no limit */
  readonly sendPace?: Pace | undefined;
  /** Bandwidth from the target to the client. @default no limit */
  readonly receivePace?: Pace | undefined;
}

/**
 * The bandwidth of one direction of a relay, which asks before it takes a byte from that side. Bytes read
 * before the relay began count; bytes already written to the other side do not. Waiting for bandwidth does
 * not count towards time-outs.
 */
export interface Pace {
  /** It was asked, and the turn has not come yet. */
  readonly waits: boolean;
  /**
   * There may be something to take: calls the source back once it may, never from within this call. Until
   * then, further calls have no effect.
   */
  ask(source: Paced): void;
  /** The relay is over: no further turn is given. */
  leave(): void;
}

export interface Paced {
  /** Takes at most this many bytes, at least one, of what is available; returns how many. */
  take(most: number): number;
}

/** Time-outs are accurate to the second, and never early. */
export interface Relay {
  /**
   * Bytes taken from the client and passed to the target's socket so far, and the reverse. After a normal end
   * this is exactly what the other side was sent; after a failure the last of them may not have arrived.
   */
  readonly sent: number;
  readonly received: number;
  /** Approximate bytes in memory. */
  readonly held: number;
  /** Cuts the relay short, which then ends with `abort`. */
  abort(): void;
}

/** The owner of a relay. Not a promise: that would be five more objects for the life of the relay. */
export interface RelayOwner {
  /** Called once, never from within `relay` or `abort`, when both connections are closed. */
  relayEnded(end: RelayEnd): void;
}

export interface RelayEnd {
  /** The side that failed or, after a normal end, ended its direction first; a time-out; or `abort()`. */
  readonly by: 'client' | 'target' | 'idle' | 'half-close' | 'duration' | 'abort';
  /** The error code (ECONNRESET, EPIPE, …) when a side failed. */
  readonly error?: string;
}

export interface UdpEvents {
  /**
   * A datagram: `buffer` from `start` to `end`, valid during the call. The receiver may overwrite the
   * `UDP_HEADROOM` bytes before `start`, so that a header can be prepended without a copy.
   */
  received(buffer: Uint8Array, start: number, end: number, from: Peer): void;
  /**
   * A datagram could not be sent (EMSGSIZE, ENETUNREACH, EAGAIN when the kernel takes no more), or an ICMP
   * error was received (ECONNREFUSED, …). The socket stays open, except for ENODEV: the interface that it was
   * bound to is gone for good, even if another of that name appears. The portable engine does not see ICMP
   * errors, as Node does not report them.
   */
  failed(code: string): void;
}

/** Bytes of the largest datagram. */
export const MAX_DATAGRAM = 65_535;

/** Room for the largest UDP request header with an address (RFC 1928 section 7): 22 bytes. */
export const UDP_HEADROOM = 32;

/** The other end of datagrams. An engine may return the same object again or a new one: compare keys. */
export interface Peer extends Endpoint {
  /** Unique per address and port, regardless of the spelling of the address. */
  readonly key: string;
}

export interface UdpSocket extends Disposable {
  readonly local: Endpoint;
  /**
   * The peer of a literal address, to be kept for many sends; a link-local one without a zone is on the
   * socket's own link.
   */
  peer(to: Endpoint): Peer;
  /**
   * Sends at once or not at all, as UDP does; the buffer may be reused on return. Failures are reported to
   * `failed`.
   */
  send(buffer: Uint8Array, start: number, end: number, to: Peer): void;
  close(): void;
}
