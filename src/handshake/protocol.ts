import type { Address } from '../wire/address.ts';
import type { Inbox } from '../wire/inbox.ts';
import type { Credentials } from '../wire/password.ts';
import type { Command, Reply } from '../wire/socks5.ts';

/** `http` is HTTP CONNECT. */
export type ServerProtocol = 'socks4' | 'socks5' | 'http';

/** `http` is HTTP CONNECT, without other commands. */
export type ClientProtocol = 'socks4' | 'socks4a' | 'socks5' | 'http';

/** The protocol of a client that requests no proxy. */
export type ForeignKind = 'http' | 'tls' | 'proxy' | 'unknown';

/**
 * The state of a server's handshake. The client's turn: `greeting`, its first message in any protocol,
 * `password`, `request`. The server's turn: `method`, `verdict`, `reply`, and `bind` between the two replies
 * to BIND. The end: `done`, all further bytes belong to the relay, or `closed`, nothing more may be sent.
 */
export type ServerHandshakeState =
  | 'greeting'
  | 'method'
  | 'password'
  | 'verdict'
  | 'request'
  | 'reply'
  | 'bind'
  | 'done'
  | 'closed';

/**
 * A request. SOCKS4 and HTTP begin with it, before the client has been accepted: answer with `accept`, then
 * with `reply`; in SOCKS5 with `reply` only.
 */
export interface RequestEvent {
  readonly type: 'request';
  readonly protocol: ServerProtocol;
  /** Any number. */
  readonly command: number;
  /** A name in SOCKS4 makes it SOCKS4A. */
  readonly destination: Address;
  /** SOCKS4: the user id that the client claims, unverified. */
  readonly userId?: string;
  /** HTTP: the credentials in the request, if any. */
  readonly credentials?: Credentials;
}

export type ServerEvent =
  /** SOCKS5 methods offered, as numbers: answer with `chooseMethod`. */
  | { readonly type: 'greeting'; readonly methods: readonly number[] }
  /** Answer with `accept`. */
  | { readonly type: 'password'; readonly username: string; readonly password: string }
  | RequestEvent
  /** Not an enabled proxy protocol: send the result of `refuse`, if any, and close. */
  | { readonly type: 'foreign'; readonly kind: ForeignKind };

/**
 * The server's side of one protocol: decodes its messages and encodes its answers. `ServerHandshake`
 * determines which is due.
 *
 * An authentication method of many rounds (GSS-API, RFC 1961) is one more state, read here, with an event for
 * each token and an answer in bytes. Its wrapping of all later bytes does not concern the handshake:
 * `trailing` returns the unread bytes, and `receive` accepts them unwrapped.
 *
 * A protocol that sends the request first, together with authentication (SOCKS6), returns the request in its
 * first state, as HTTP does; further methods lead through `method` and back, and `trailing` begins with any
 * early data.
 */
export interface ServerSide {
  /** The message that is due; `undefined` while bytes are missing. Throws a WireError. */
  read(inbox: Inbox, state: ServerHandshakeState): ServerEvent | undefined;
  /** @default there is no choice */
  encodeMethod?(method: number): Uint8Array;
  /** The client has been accepted. @default nothing: a reply follows */
  encodeAccepted?(): Uint8Array;
  encodeReply(code: Reply, bound: Address): Uint8Array;
  /** A refusal in the format of the answer that is due in this state. */
  encodeRefusal(code: Reply, state: ServerHandshakeState): Uint8Array | undefined;
}

export interface ClientHandshakeOptions {
  readonly protocol: ClientProtocol;
  readonly command: Command;
  /** For UDP ASSOCIATE the client's own address, or `UNSPECIFIED`. */
  readonly destination: Address;
  /** SOCKS5: offers the method password (RFC 1929) besides none. HTTP: sends them at once (RFC 7617). */
  readonly credentials?: Credentials;
  /** SOCKS4 and SOCKS4A only. @default '' */
  readonly userId?: string;
}

/**
 * The state of a client's handshake. The client's turn: `start`. The server's turn: `method`, `password`,
 * `reply`, and `bind` between the two replies to BIND. The end: `done`, all further bytes belong to the
 * application, or `closed`, refused or broken.
 */
export type ClientHandshakeState = 'start' | 'method' | 'password' | 'reply' | 'bind' | 'done' | 'closed';

/** Bytes to write to the server. */
export interface SendEvent {
  readonly type: 'send';
  readonly bytes: Uint8Array;
  /** The server's answer to them. */
  readonly awaits: 'method' | 'password' | 'reply';
}

/** BIND has two, unless the first is a failure. */
export interface ReplyEvent {
  readonly type: 'reply';
  readonly ok: boolean;
  /** The server's own code: REP of SOCKS5 (`Reply`), CD of SOCKS4 (`Socks4Result`), the status of HTTP. */
  readonly code: number;
  /** The equivalent in SOCKS5. */
  readonly reply: Reply;
  /** 0.0.0.0:0 in refusals and in HTTP, which have none. */
  readonly bound: Address;
}

/** No method was acceptable, or user name and password were wrong. */
export interface RefusedEvent {
  readonly type: 'refused';
  readonly phase: 'method' | 'password';
}

export type ClientEvent = SendEvent | ReplyEvent | RefusedEvent;

/**
 * The client's side of one protocol. It is constructed with the request; the constructor throws a RangeError
 * if the protocol cannot carry that.
 *
 * Here too, a method of many rounds is one more state, with an event that requests the next token. A protocol
 * that sends request and authentication together (SOCKS6) awaits `reply` from the start, and first reads the
 * answer to the authentication there.
 */
export interface ClientSide {
  start(): SendEvent;
  /**
   * The event that follows from the answer that is due; `undefined` while bytes are missing. Throws a
   * WireError.
   */
  read(inbox: Inbox, state: ClientHandshakeState): ClientEvent | undefined;
  /** The event for a reply that was cut off. @default none */
  readCut?(inbox: Inbox): ReplyEvent | RefusedEvent | undefined;
}
