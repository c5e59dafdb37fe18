import { type Address, AddressType, UNSPECIFIED } from '../wire/address.ts';
import { WireError } from '../wire/error.ts';
import {
  type Credentials,
  decodePasswordStatus,
  encodeCredentials,
  PasswordStatus,
} from '../wire/password.ts';
import { decodeHttpRefusal, decodeHttpReply, encodeConnect, HeadScan, replyToStatus } from '../wire/http.ts';
import type { HttpReply } from '../wire/http.ts';
import { decodeSocks4Refusal, decodeSocks4Reply, encodeSocks4Request } from '../wire/socks4.ts';
import {
  Command,
  decodeMethod,
  decodeSocks5Refusal,
  decodeSocks5Reply,
  encodeGreeting,
  encodeSocks5Request,
  knownReply,
  Method,
  Reply,
} from '../wire/socks5.ts';
import { Inbox } from '../wire/inbox.ts';

/** `http` is its CONNECT, and knows no other command. */
export type ClientProtocol = 'socks4' | 'socks4a' | 'socks5' | 'http';

export interface ClientSessionOptions {
  readonly protocol: ClientProtocol;
  readonly command: Command;
  /** For UDP ASSOCIATE the client's own address, or `UNSPECIFIED`. */
  readonly destination: Address;
  /** SOCKS5: offers the method password (RFC 1929) besides none. HTTP: sends them at once (RFC 7617). */
  readonly credentials?: Credentials;
  /** SOCKS4 and SOCKS4A only. @default '' */
  readonly userId?: string;
}

/** The status of HTTP that asks for user name and password. */
const PROXY_AUTHENTICATION = 407;

/**
 * Where a session is. The client's turn: `start`. The server's turn: `method`, `password`, `reply`, and `bind` between the two
 * replies to BIND. The end: `done`, all bytes belong to the application now, or `closed`, refused or broken.
 */
export type ClientSessionState = 'start' | 'method' | 'password' | 'reply' | 'bind' | 'done' | 'closed';

export type ClientEvent =
  /** Bytes to write to the server. */
  | { readonly type: 'send'; readonly bytes: Uint8Array }
  | ReplyEvent
  /** No method was acceptable, or the user name and password were not. */
  | { readonly type: 'refused'; readonly phase: 'method' | 'password' };

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

/**
 * The client's side of a handshake of SOCKS4, SOCKS4A, SOCKS5 or HTTP CONNECT: write `start()`, then bytes in by `receive` and events out by
 * `next`. It does no I/O and keeps no time. A call that is not due throws a plain Error: that is a mistake of the caller.
 */
export class ClientSession {
  readonly #inbox = new Inbox();
  readonly #protocol: ClientProtocol;
  readonly #command: Command;
  readonly #request: Uint8Array;
  readonly #credentials: Uint8Array | undefined;
  /** Of HTTP. */
  #scan: HeadScan | undefined;
  #state: ClientSessionState = 'start';

  /** Throws a RangeError for what the protocol cannot carry: see `encodeSocks4Request`, `encodeSocks5Request`, `encodeCredentials`, `encodeConnect`. */
  constructor(options: ClientSessionOptions) {
    const { protocol, command, destination, credentials, userId = '' } = options;
    this.#protocol = protocol;
    this.#command = command;
    if (protocol === 'socks5') {
      this.#request = encodeSocks5Request({ command, destination });
      if (credentials?.username === '')
        throw new RangeError('an empty user name (RFC 1929 has 1 to 255 bytes)');
      this.#credentials = credentials && encodeCredentials(credentials);
    } else if (protocol === 'http') {
      if (command !== Command.connect) throw new RangeError('HTTP knows CONNECT only');
      this.#request = encodeConnect(destination, credentials);
      this.#credentials = credentials && this.#request;
    } else {
      if (protocol === 'socks4' && destination.type === AddressType.name) {
        throw new RangeError('SOCKS4 carries no names, SOCKS4A does');
      }
      this.#request = encodeSocks4Request({ command, destination, userId });
    }
  }

  get state(): ClientSessionState {
    return this.#state;
  }

  /** The first bytes to write. */
  start(): Uint8Array {
    this.#expect('start');
    if (this.#protocol === 'socks5') {
      this.#state = 'method';
      return encodeGreeting(this.#offered());
    }
    this.#state = 'reply';
    return this.#request;
  }

  /** Takes bytes from the server. The chunk is the session's from now on: the caller must not write to it. */
  receive(chunk: Uint8Array): void {
    if (this.#state !== 'closed') this.#inbox.add(chunk);
  }

  /**
   * What to do next; `undefined` when more bytes are needed, or when the handshake is over. Throws a WireError, once, when
   * the server broke the protocol: close.
   */
  next(): ClientEvent | undefined {
    try {
      return this.#nextEvent();
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /**
   * The server has ended its direction, or broken it off: what it comes to all the same, a refusal whose end is missing. The
   * session is closed.
   */
  ended(): Exclude<ClientEvent, { readonly type: 'send' }> | undefined {
    const refusal =
      this.#state === 'reply' && this.#protocol === 'http' ? this.#inbox.take(decodeHttpRefusal) : undefined;
    const event = refusal && this.#outcome(meaningOf(refusal));
    this.#close();
    return event;
  }

  /** After the last reply: takes what the server sent after it, the first bytes from the destination. */
  trailing(): Uint8Array {
    this.#expect('done', 'closed');
    return this.#inbox.drain();
  }

  #nextEvent(): ClientEvent | undefined {
    if (this.#state === 'method') return this.#nextMethod();
    if (this.#state === 'password') return this.#nextPasswordStatus();
    if (this.#state === 'reply' || this.#state === 'bind') return this.#nextReply();
    return undefined;
  }

  #nextMethod(): ClientEvent | undefined {
    const method = this.#inbox.take(decodeMethod);
    if (method === undefined) return undefined;
    if (method === Method.noneAcceptable) return this.#refused('method');
    if (!this.#offered().includes(method)) {
      throw new WireError('ERR_SOCKS_METHOD_NOT_OFFERED', `method ${method} was not offered`);
    }
    if (method === Method.none || this.#credentials === undefined) return this.#send('reply', this.#request);
    return this.#send('password', this.#credentials);
  }

  #nextPasswordStatus(): ClientEvent | undefined {
    const status = this.#inbox.take(decodePasswordStatus);
    if (status === undefined) return undefined;
    return status === PasswordStatus.success ? this.#send('reply', this.#request) : this.#refused('password');
  }

  #nextReply(): ClientEvent | undefined {
    const told = this.#takeReply();
    return told && this.#outcome(told);
  }

  #outcome(outcome: Told): Exclude<ClientEvent, { readonly type: 'send' }> {
    if (outcome.code === PROXY_AUTHENTICATION && this.#protocol === 'http')
      return this.#refused(this.#credentials === undefined ? 'method' : 'password');
    const ok = outcome.reply === Reply.succeeded;
    if (!ok) this.#close();
    else this.#state = this.#state === 'reply' && this.#command === Command.bind ? 'bind' : 'done';
    return { type: 'reply', ok, ...outcome };
  }

  #takeReply(): Told | undefined {
    if (this.#protocol === 'socks5') {
      const code = this.#inbox.take(decodeSocks5Refusal);
      if (code !== undefined) return { code, reply: knownReply(code), bound: UNSPECIFIED };
      const granted = this.#inbox.take(decodeSocks5Reply);
      return granted && { ...granted, reply: Reply.succeeded };
    }
    if (this.#protocol === 'http') {
      const scan = (this.#scan ??= new HeadScan());
      const reply = this.#inbox.take((bytes) => decodeLenientHttpReply(bytes, scan));
      return reply && meaningOf(reply);
    }
    const code = this.#inbox.take(decodeSocks4Refusal);
    if (code !== undefined) return { code, reply: Reply.generalFailure, bound: UNSPECIFIED };
    const granted = this.#inbox.take(decodeSocks4Reply);
    return granted && { ...granted, reply: Reply.succeeded };
  }

  #offered(): readonly number[] {
    return this.#credentials === undefined ? [Method.none] : [Method.none, Method.password];
  }

  #send(next: ClientSessionState, bytes: Uint8Array): ClientEvent {
    this.#state = next;
    return { type: 'send', bytes };
  }

  #refused(phase: 'method' | 'password'): Extract<ClientEvent, { readonly type: 'refused' }> {
    this.#close();
    return { type: 'refused', phase };
  }

  #close(): void {
    this.#state = 'closed';
    this.#inbox.drain();
  }

  #expect(...states: readonly ClientSessionState[]): void {
    if (!states.includes(this.#state)) {
      throw new Error(`called in state ${this.#state}; this belongs to ${states.join(', ')}`);
    }
  }
}

type Told = Omit<ReplyEvent, 'type' | 'ok'>;

function meaningOf({ status, reason = replyToStatus(status) }: HttpReply): Told {
  return { code: status, reply: reason, bound: UNSPECIFIED };
}

/** What follows the status line of a refusal never decides. */
function decodeLenientHttpReply(bytes: Uint8Array, scan: HeadScan): ReturnType<typeof decodeHttpReply> {
  try {
    return decodeHttpReply(bytes, scan);
  } catch (error) {
    const refusal = error instanceof WireError ? decodeHttpRefusal(bytes) : undefined;
    if (refusal === undefined) throw error;
    return refusal;
  }
}
