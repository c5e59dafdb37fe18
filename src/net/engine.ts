import type { Duplex } from 'node:stream';
import type { Endpoint } from '../wire/address.ts';

/**
 * The one contract of the rooms above with the operating system's sockets. An engine works by handle and number: nothing
 * here needs a stream or an object per chunk, so that it can be built on bare system calls as well as on node:net.
 * With nothing open it holds no descriptor and keeps no process alive. `contract/` holds every engine to all this.
 */
export interface Engine {
  readonly name: 'portable' | 'fast';

  /** What keeping to a network interface lacks here, for the user that this is now: `needs …`; `undefined` where it is possible. */
  deviceFault(): string | undefined;

  /**
   * Listens; port 0 takes a free one; `::` takes IPv4 as well. `failed` gets the code when a connection could not be
   * accepted (EMFILE, …). Rejects with Node's error (EADDRINUSE, EACCES, …).
   * Out of descriptors, the portable engine tells nobody: libuv takes what waits and closes it.
   */
  listen(
    at: ListenAt,
    accepted: (connection: Connection) => void,
    failed: (code: string) => void,
  ): Promise<Listener>;

  /**
   * Connects to one literal address, or a unix socket. Rejects with Node's error, ETIMEDOUT after `timeout`, or the signal's
   * reason.
   */
  connect(to: Endpoint | UnixPath, options: ConnectOptions): Promise<Connection>;

  /**
   * Joins two connections until both ends are done; early bytes go first. From now on they belong to the relay: nobody else
   * reads, writes or finishes them. The end of a direction is passed on when all bytes before it are. When a side fails or
   * the relay is cut short, both are closed with a reset where they can be, so that nobody takes a cut stream for a whole
   * one; bytes on their way may be lost, as in any reset. A side that fails while nobody reads it, because the other takes
   * nothing or it has ended, is noticed within two seconds. `relayEnded` is called once both connections are closed.
   */
  relay(client: Connection, target: Connection, options: RelayOptions, owner: RelayOwner): Relay;

  /** Binds a UDP socket to a literal address, for datagrams of its family only; port 0 takes a free one. Rejects with Node's error. */
  udp(at: Endpoint, events: UdpEvents): Promise<UdpSocket>;

  /** Makes a connection of a stream that somebody else opened, a TLS socket for one; with a `reset` it is cut by that. */
  adopt(stream: Duplex, local: Endpoint, remote: Endpoint, reset?: Reset): Connection;
}

/**
 * A literal address, a unix socket, or a socket that listens already and was passed to this process by number. The ends of
 * a connection over a unix socket have no addresses: both are 127.0.0.1 with port 0, for they are on this machine.
 */
export type ListenAt = Endpoint | UnixSocket | PassedSocket;

/** Closes a stream so that nobody takes it for a whole one. */
export interface Reset {
  resetAndDestroy(): void;
}

export interface PassedSocket {
  readonly fd: number;
  /** Other threads have it too: it is not closed. The fast engine only. @default false */
  readonly shared?: boolean;
}

export interface UnixPath {
  readonly path: string;
}

/** What a server that has gone left at the path is replaced. */
export interface UnixSocket extends UnixPath {
  /** Permissions of the file, as chmod(2) takes them. */
  readonly mode: number;
}

export interface Listener extends AsyncDisposable {
  /** With the port that was taken. */
  readonly local: Endpoint;
  /** Of a unix socket. */
  readonly path?: string;
  /** The descriptor, where there is one for other threads. */
  readonly fd?: number;
  /** Stops accepting; resolves when the port is free. Open connections live on. */
  close(): Promise<void>;
}

export interface ConnectOptions {
  /** Local address to connect from, with a zone as an `Endpoint` may have; of no use for a unix socket. @default the kernel's choice */
  readonly from?: string;
  /** Milliseconds until ETIMEDOUT. */
  readonly timeout: number;
  readonly signal?: Signal;
}

/** What an AbortSignal does here. Something that costs less may do it, too. */
export interface Signal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Bytes that a connection keeps while nobody reads. */
export const EARLY_LIMIT = 65_536;

/**
 * One TCP connection. Both directions stay open until told otherwise (half-close). Nothing that is sent waits for more
 * (TCP_NODELAY), and keep-alive is on; of a connection that was made by `connect`, once it is in a relay for a second or its loss is waited for.
 * What arrives while nobody reads is kept up to `EARLY_LIMIT`; beyond that the peer's window holds it back.
 */
export interface Connection {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Bytes that are kept in memory now, about. */
  readonly held: number;

  /**
   * Whether it was accepted from this network interface, as the kernel sees it; before the first read. Only the fast engine
   * can know, and of TCP only; otherwise false.
   */
  cameBy(interfaceName: string): boolean;

  /**
   * The next bytes, the caller's to keep; `undefined` once the peer has ended its direction. One read at a time.
   * Rejects with the socket's error, after what was kept by then (a reset may take with it what the window held back), or
   * with the reason given to `destroy`, which forgets what was kept.
   */
  read(): Promise<Uint8Array | undefined>;

  /** Gives back bytes that were read but not used: the next read, relay or detach sees them first. */
  unread(bytes: Uint8Array): void;

  /**
   * Queues a handshake message; the bytes may be reused at once. Not for bulk: there is no back-pressure. Ignored once the
   * connection is lost.
   */
  write(bytes: Uint8Array): void;

  /**
   * Calls back once, when the connection fails or is destroyed while nobody reads, or without an error when the peer ends its
   * direction: the way to learn that a client has gone while it waits for something. One at a time. Not called any more once the connection was handed to a relay, finished or detached.
   */
  onLost(lost: (error?: Error) => void): void;

  /**
   * The orderly farewell: sends what was written and the end of stream, reads and forgets what the peer still sends (an
   * unread byte would turn the close into a reset that can overtake the reply), closes when the peer has ended or after `linger`
   * milliseconds. Resolves when it is closed, by either side; ignored once the connection is lost or belongs to a relay.
   */
  closeGracefully(linger: number): Promise<void>;

  /** Closes at once; a read that waits rejects with `reason`, and a relay ends as if this side had failed. */
  destroy(reason?: Error): void;

  /**
   * Hands the connection over as a Node stream, for TLS or whatever must transform bytes; unread bytes come first, and what
   * was written still goes out first. The stream is as good as new: it flows when somebody listens. This handle is dead afterwards.
   */
  detach(): Duplex;
}

export interface RelayOptions {
  /** Milliseconds without a byte in either direction. 0 = no limit. */
  readonly idle: number;
  /**
   * Milliseconds without a byte once one direction has ended. 0 = no limit. A side that takes nothing is waited for as long as its
   * kernel answers; the portable engine cannot ask, and waits for none.
   */
  readonly halfClose: number;
  /** Milliseconds in all. 0 = no limit. */
  readonly duration: number;
  /** Bandwidth from the client to the target. @default no limit */
  readonly sendPace?: Pace | undefined;
  /** Bandwidth from the target to the client. @default no limit */
  readonly receivePace?: Pace | undefined;
}

/**
 * The bandwidth of one direction of one relay, which asks before it takes a byte from that side. What was read before the relay
 * began counts too; what was written to the other side does not. Waiting for it is no silence that a time-out would end.
 */
export interface Pace {
  /** It was asked, and the turn has not come. */
  readonly waits: boolean;
  /** There may be something to take: the source is called back once, never from within this call, when it may. Until then, asking again does nothing. */
  ask(source: Paced): void;
  /** The relay is over: no turn comes any more. */
  leave(): void;
}

export interface Paced {
  /** Takes no more than so many bytes, one at least, of what there is; how many it took. */
  take(most: number): number;
}

/** Time-outs are kept to the second, never early. */
export interface Relay {
  /**
   * Bytes taken from the client and given to the target's socket so far, and the other way round. After an orderly end this is
   * what the other side was sent, to the byte; after a failure the last of them may not have got there.
   */
  readonly sent: number;
  readonly received: number;
  /** Bytes that are kept in memory now, about. */
  readonly held: number;
  /** Cuts the relay short; its end then is `abort`. */
  abort(): void;
}

/** Whose a relay is. No promise: that would be five objects more, for as long as the relay lives. */
export interface RelayOwner {
  /** Once, and never from within `relay` or `abort`: both connections are closed. */
  relayEnded(end: RelayEnd): void;
}

export interface RelayEnd {
  /** Who ended it: the side that failed or, when all went well, ended its direction first; a time-out; or `abort()`. */
  readonly by: 'client' | 'target' | 'idle' | 'half-close' | 'duration' | 'abort';
  /** The error code (ECONNRESET, EPIPE, …) when a side failed. */
  readonly error?: string;
}

export interface UdpEvents {
  /**
   * A datagram: `buffer` from `start` to `end`, valid during the call. The `UDP_HEADROOM` bytes before `start` are the
   * receiver's to write on, so that a header can be put in front without a copy.
   */
  received(buffer: Uint8Array, start: number, end: number, from: Peer): void;
  /**
   * A datagram could not be sent (EMSGSIZE, ENETUNREACH, EAGAIN when the kernel takes no more), or an ICMP error came back
   * (ECONNREFUSED, …). The socket lives on, but for ENODEV: the interface that it was bound to has gone for good, and one of
   * that name is another one. The portable engine does not see ICMP errors: Node has no way to ask for them.
   */
  failed(code: string): void;
}

/** Bytes of the largest datagram. */
export const MAX_DATAGRAM = 65_535;

/** Room for the largest UDP request header with an address (RFC 1928 section 7): 22 bytes. */
export const UDP_HEADROOM = 32;

/** The other end of datagrams. An engine may give the same object again or a new one: compare keys. */
export interface Peer extends Endpoint {
  /** Unique per address and port, however the address was spelt. */
  readonly key: string;
}

export interface UdpSocket extends Disposable {
  readonly local: Endpoint;
  /** The peer of a literal address, to be kept for many sends; a link-local one without a zone is on the socket's own link. */
  peer(to: Endpoint): Peer;
  /** Sends at once or not at all, as UDP does; the buffer may be reused on return. Failures go to `failed`. */
  send(buffer: Uint8Array, start: number, end: number, to: Peer): void;
  close(): void;
}
