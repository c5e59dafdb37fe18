import type { Address } from '../wire/address.ts';
import type { Inbox } from '../wire/inbox.ts';
import type { Credentials } from '../wire/password.ts';
import type { Command, Reply } from '../wire/socks5.ts';

/** `http` is its CONNECT. */
export type ServerProtocol = 'socks4' | 'socks5' | 'http';

/** `http` is its CONNECT, and knows no other command. */
export type ClientProtocol = 'socks4' | 'socks4a' | 'socks5' | 'http';

/** What a client speaks that asks for no proxy. */
export type ForeignKind = 'http' | 'tls' | 'proxy' | 'unknown';

/**
 * Where a server's handshake is. The client's turn: `greeting`, its first message whatever the protocol, `password`, `request`. The
 * server's turn: `method`, `verdict`, `reply`, and `bind` between the two replies to BIND. The end: `done`, all bytes belong to
 * the relay now, or `closed`, nothing may be sent any more.
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
 * A request. In protocols that begin with it, SOCKS4 and HTTP, nobody has been accepted yet: answer with `accept`, then with `reply`;
 * in SOCKS5 with `reply`.
 */
export interface RequestEvent {
  readonly type: 'request';
  readonly protocol: ServerProtocol;
  /** Any number. */
  readonly command: number;
  /** A name in SOCKS4 makes it SOCKS4A. */
  readonly destination: Address;
  /** SOCKS4: who the client says it is. Nobody vouches for it. */
  readonly userId?: string;
  /** HTTP: what the client shows with its request, if anything. */
  readonly credentials?: Credentials;
}

export type ServerEvent =
  /** SOCKS5 methods offered, as numbers: answer with `chooseMethod`. */
  | { readonly type: 'greeting'; readonly methods: readonly number[] }
  /** Answer with `accept`. */
  | { readonly type: 'password'; readonly username: string; readonly password: string }
  | RequestEvent
  /** No proxy protocol that is spoken here: send what `refuse` gives, if anything, and close. */
  | { readonly type: 'foreign'; readonly kind: ForeignKind };

/**
 * The server's side of one protocol: what its messages say, and how its answers are written. `ServerHandshake` knows what is due when.
 *
 * An authentication method of many rounds (GSS-API, RFC 1961) is one more state, read here, with an event for each token and an
 * answer in bytes. What it does to every byte from then on is no business of the handshake: `trailing` gives back what
 * has not been read, and `receive` takes it unwrapped.
 * A protocol that sends its request first and shows with it who it is (SOCKS6) gives a request in its first state, as HTTP does;
 * methods that it offers besides lead on through `method` and back, and early data is what `trailing` begins with.
 */
export interface ServerSide {
  /** The message that is due; `undefined` while bytes are missing. Throws a WireError. */
  read(inbox: Inbox, state: ServerHandshakeState): ServerEvent | undefined;
  /** @default there is no choice */
  encodeMethod?(method: number): Uint8Array;
  /** The client is who it says. @default nothing: a reply follows */
  encodeAccepted?(): Uint8Array;
  encodeReply(code: Reply, bound: Address): Uint8Array;
  /** No, in the form of the answer that this state leads to. */
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
 * Where a client's handshake is. The client's turn: `start`. The server's turn: `method`, `password`, `reply`, and `bind` between the
 * two replies to BIND. The end: `done`, all bytes belong to the application now, or `closed`, refused or broken.
 */
export type ClientHandshakeState = 'start' | 'method' | 'password' | 'reply' | 'bind' | 'done' | 'closed';

/** Bytes to write to the server. */
export interface SendEvent {
  readonly type: 'send';
  readonly bytes: Uint8Array;
  /** What the server answers to them. */
  readonly awaits: 'method' | 'password' | 'reply';
}

/** Two for BIND, unless the first is a failure. */
export interface ReplyEvent {
  readonly type: 'reply';
  readonly ok: boolean;
  /** The server's own: REP of SOCKS5 (`Reply`), CD of SOCKS4 (`Socks4Result`), the status of HTTP. */
  readonly code: number;
  /** What that means in SOCKS5. */
  readonly reply: Reply;
  /** A refusal and HTTP tell none: 0.0.0.0:0. */
  readonly bound: Address;
}

/** No method was acceptable, or the user name and password were not. */
export interface RefusedEvent {
  readonly type: 'refused';
  readonly phase: 'method' | 'password';
}

export type ClientEvent = SendEvent | ReplyEvent | RefusedEvent;

/**
 * The client's side of one protocol. It is made with the request, and its constructor throws a RangeError for what the protocol cannot carry.
 *
 * Here, too, a method of many rounds is one more state, with an event that asks for the next token. A protocol that sends request
 * and authentication together (SOCKS6) awaits `reply` from the start, and reads there what the server says to the authentication first.
 */
export interface ClientSide {
  start(): SendEvent;
  /** What follows from the answer that is due; `undefined` while bytes are missing. Throws a WireError. */
  read(inbox: Inbox, state: ClientHandshakeState): ClientEvent | undefined;
  /** What a reply comes to whose end never comes. @default nothing */
  readCut?(inbox: Inbox): ReplyEvent | RefusedEvent | undefined;
}
