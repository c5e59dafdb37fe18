import { type Address, addressOf, AddressType, type HostPort, UNSPECIFIED } from '../wire/address.ts';
import { WireError } from '../wire/error.ts';
import {
  decodeBasic,
  decodeConnectTarget,
  decodeHttpRequest,
  encodeBadRequest,
  encodeHttpChallenge,
  encodeHttpReply,
  HeadScan,
} from '../wire/http.ts';
import {
  type Credentials,
  decodeCredentials,
  encodePasswordStatus,
  PasswordStatus,
} from '../wire/password.ts';
import { decodeSocks4Request, encodeSocks4Reply, type Socks4Request, Socks4Result } from '../wire/socks4.ts';
import {
  Command,
  decodeGreeting,
  decodeSocks5Request,
  encodeMethod,
  encodeSocks5Reply,
  Method,
  Reply,
  type Socks5Request,
} from '../wire/socks5.ts';
import { type AnswerHttp, type ForeignKind, httpFarewell, recognise } from './foreign.ts';
import { Inbox } from '../wire/inbox.ts';

/** `http` is its CONNECT. */
export type ServerProtocol = 'socks4' | 'socks5' | 'http';

export interface ServerSessionOptions {
  /** The versions that are spoken; a client of another one gets a refusal. @default ['socks5', 'socks4'] */
  readonly protocols?: readonly ServerProtocol[];
  /** Answers HTTP that is no CONNECT; its head has 16 KiB at most. @default a page that says what this port is */
  readonly answerHttp?: AnswerHttp;
}

/**
 * Where a session is. The client's turn: `greeting`, `password`, `request`. The server's turn: `method`, `verdict`,
 * `reply`, and `bind` between the two replies to BIND. The end: `done`, all bytes belong to the relay now, or `closed`,
 * nothing may be sent any more.
 */
export type ServerSessionState =
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
 * A request: answer with `reply`. The command is any number. SOCKS4 has a user id, which nobody vouches for; SOCKS4A is a
 * SOCKS4 request with a name.
 */
export interface RequestEvent {
  readonly type: 'request';
  readonly protocol: ServerProtocol;
  readonly command: number;
  readonly destination: Address;
  readonly userId?: string;
}

export type ServerEvent =
  /** SOCKS5 methods offered, as numbers: answer with `chooseMethod`. */
  | { readonly type: 'greeting'; readonly methods: readonly number[] }
  /** Answer with `answerPassword`. */
  | { readonly type: 'password'; readonly username: string; readonly password: string }
  | RequestEvent
  /** No SOCKS at all: send `farewell()`, if there is one, and close. */
  | { readonly type: 'foreign'; readonly kind: ForeignKind };

/**
 * The server's side of a handshake of SOCKS4, SOCKS4A, SOCKS5 or HTTP CONNECT, where a user name and a password come with the
 * request, but are asked about in the same steps: bytes in by `receive`, events out by `next`, answers as bytes to
 * write. It does no I/O and keeps no time. A call that is not due throws a plain Error: that is a mistake of the caller.
 */
export class ServerSession {
  readonly #protocols: readonly ServerProtocol[];
  readonly #answerHttp: AnswerHttp | undefined;
  readonly #inbox = new Inbox();
  #state: ServerSessionState = 'greeting';
  #protocol: ServerProtocol = 'socks5';
  #offered: readonly number[] = [];
  #command = 0;
  /** Of HTTP: what will be asked about, step by step. */
  #http: { readonly destination: Address; readonly credentials: Credentials | undefined } | undefined;
  #scan: HeadScan | undefined;
  #farewell: Uint8Array | undefined;

  constructor(options: ServerSessionOptions = {}) {
    this.#protocols = options.protocols ?? ['socks5', 'socks4'];
    this.#answerHttp = options.answerHttp;
  }

  get state(): ServerSessionState {
    return this.#state;
  }

  /** Takes bytes from the client. The chunk is the session's from now on: the caller must not write to it. */
  receive(chunk: Uint8Array): void {
    if (this.#state !== 'closed') this.#inbox.add(chunk);
  }

  /**
   * What the client said; `undefined` when more bytes are needed, or when it is the server's turn. Throws a WireError, once,
   * when the client broke the protocol: send `farewell()`, if there is one, and close.
   */
  next(): ServerEvent | undefined {
    try {
      return this.#nextEvent();
    } catch (error) {
      if (error instanceof WireError) this.#close(this.#refusal(replyTo(error)));
      throw error;
    }
  }

  /** The answer to a greeting: a method out of those offered, `undefined` when none of them will do. HTTP has no bytes for a good one. */
  chooseMethod(method: typeof Method.none | typeof Method.password | undefined): Uint8Array {
    this.#expect('method');
    if (method === undefined) {
      this.#close();
      return this.#protocol === 'http' ? encodeHttpChallenge() : encodeMethod(Method.noneAcceptable);
    }
    if (!this.#offered.includes(method)) throw new Error(`method ${method} was not offered`);
    this.#state = method === Method.password ? 'password' : 'request';
    return this.#protocol === 'http' ? NOTHING : encodeMethod(method);
  }

  answerPassword(ok: boolean): Uint8Array {
    this.#expect('verdict');
    if (!ok) {
      this.#close();
      return this.#protocol === 'http' ? encodeHttpChallenge() : encodePasswordStatus(PasswordStatus.failure);
    }
    this.#state = 'request';
    return this.#protocol === 'http' ? NOTHING : encodePasswordStatus(PasswordStatus.success);
  }

  /**
   * The answer to a request: one for every command, but two for BIND if the first is a success. `bound` is BND.ADDR, for
   * RESOLVE and RESOLVE_PTR the answer itself; a host that is no literal goes as a name. SOCKS4 knows only granted and
   * rejected, and sends 0.0.0.0 for what is no IPv4 address, which there means the address of this server.
   */
  reply(code: Reply, bound: HostPort = UNSPECIFIED): Uint8Array {
    this.#expect('reply', 'bind');
    const bytes = this.#encodeReply(code, addressOf(bound.host, bound.port));
    if (code !== Reply.succeeded) this.#close();
    else this.#state = this.#state === 'reply' && this.#command === Command.bind ? 'bind' : 'done';
    return bytes;
  }

  /** Once the request is known: takes what the client sent after it, the first bytes for the destination. */
  trailing(): Uint8Array {
    this.#expect('reply', 'bind', 'done', 'closed');
    return this.#inbox.drain();
  }

  /**
   * Ends the session, whatever its state, and gives the last bytes for the client; `undefined` when it waits for none. That is
   * the refusal of what it asked for (with `code` if that was a request), or what a WireError or a foreign protocol calls for.
   */
  farewell(code: Reply = Reply.generalFailure): Uint8Array | undefined {
    const serversTurn = ['method', 'verdict', 'reply', 'bind'].includes(this.#state);
    const farewell = serversTurn ? this.#refusal(code) : this.#farewell;
    this.#close();
    return farewell;
  }

  #nextEvent(): ServerEvent | undefined {
    if (this.#state === 'greeting') return this.#nextGreeting();
    if (this.#state === 'password') return this.#nextPassword();
    if (this.#state === 'request') {
      const command = Command.connect;
      return this.#requested(
        this.#http === undefined
          ? this.#inbox.take(decodeSocks5Request)
          : { command, destination: this.#http.destination },
      );
    }
    return undefined;
  }

  #nextGreeting(): ServerEvent | undefined {
    const version = this.#inbox.bytes[0];
    if (version === undefined) return undefined;
    if (version !== 4 && version !== 5)
      return this.#isConnect(this.#inbox.bytes) ? this.#nextHttp() : this.#nextForeign();
    this.#protocol = version === 4 ? 'socks4' : 'socks5';
    if (!this.#protocols.includes(this.#protocol)) {
      throw new WireError('ERR_SOCKS_VERSION', `version ${version}, which is switched off`);
    }
    return version === 4 ? this.#requested(this.#inbox.take(decodeSocks4Request)) : this.#nextMethods();
  }

  /** Whether it is the beginning of CONNECT, or may become that. */
  #isConnect(bytes: Uint8Array): boolean {
    return (
      this.#protocols.includes('http') && CONNECT.every((byte, i) => i >= bytes.length || bytes[i] === byte)
    );
  }

  #nextHttp(): ServerEvent | undefined {
    this.#protocol = 'http';
    const scan = (this.#scan ??= new HeadScan());
    const request = this.#inbox.take((bytes) => decodeHttpRequest(bytes, scan));
    if (request === undefined) return undefined;
    const field = request.headers.get('proxy-authorization');
    const credentials = field === undefined ? undefined : decodeBasic(field);
    this.#http = { destination: decodeConnectTarget(request.target), credentials };
    this.#offered = credentials === undefined ? [Method.none] : [Method.none, Method.password];
    this.#state = 'method';
    return { type: 'greeting', methods: this.#offered };
  }

  #nextForeign(): ServerEvent | undefined {
    const kind = recognise(this.#inbox.bytes);
    if (kind === undefined) return undefined;
    this.#scan ??= new HeadScan();
    const farewell =
      kind === 'http' ? httpFarewell(this.#inbox.bytes, this.#answerHttp, this.#scan) : undefined;
    if (kind === 'http' && farewell === undefined) return undefined;
    this.#close(farewell);
    return { type: 'foreign', kind };
  }

  #nextMethods(): ServerEvent | undefined {
    const methods = this.#inbox.take(decodeGreeting);
    if (methods === undefined) return undefined;
    this.#offered = methods;
    this.#state = 'method';
    return { type: 'greeting', methods };
  }

  #nextPassword(): ServerEvent | undefined {
    const credentials = this.#http?.credentials ?? this.#inbox.take(decodeCredentials);
    if (credentials === undefined) return undefined;
    this.#state = 'verdict';
    return { type: 'password', ...credentials };
  }

  #requested(request: Socks4Request | Socks5Request | undefined): ServerEvent | undefined {
    if (request === undefined) return undefined;
    this.#command = request.command;
    this.#state = 'reply';
    return { type: 'request', protocol: this.#protocol, ...request };
  }

  #encodeReply(code: Reply, bound: Address): Uint8Array {
    if (this.#protocol === 'socks5') return encodeSocks5Reply({ code, bound });
    if (this.#protocol === 'http') return encodeHttpReply(code);
    return encodeSocks4Reply({
      code: code === Reply.succeeded ? Socks4Result.granted : Socks4Result.rejected,
      bound: bound.type === AddressType.ipv4 ? bound : { ...UNSPECIFIED, port: bound.port },
    });
  }

  /** No, in the form of the answer that this state leads to. */
  #refusal(code: Reply): Uint8Array {
    if (this.#protocol === 'http')
      return this.#state === 'greeting' ? encodeBadRequest() : encodeHttpReply(code);
    if (this.#state === 'password' || this.#state === 'verdict')
      return encodePasswordStatus(PasswordStatus.failure);
    const choosing = this.#state === 'greeting' || this.#state === 'method';
    if (choosing && this.#protocol === 'socks5') return encodeMethod(Method.noneAcceptable);
    return this.#encodeReply(code, UNSPECIFIED);
  }

  #close(farewell?: Uint8Array): void {
    this.#state = 'closed';
    this.#farewell = farewell;
    this.#inbox.drain();
  }

  #expect(...states: readonly ServerSessionState[]): void {
    if (!states.includes(this.#state)) {
      throw new Error(`called in state ${this.#state}; this belongs to ${states.join(', ')}`);
    }
  }
}

/** How a CONNECT of HTTP begins. */
const CONNECT: Uint8Array = new TextEncoder().encode('CONNECT ');
const NOTHING = new Uint8Array(0);

function replyTo(error: WireError): Reply {
  return error.code === 'ERR_SOCKS_ADDRESS_TYPE' ? Reply.addressTypeNotSupported : Reply.generalFailure;
}
