import { addressOf, type HostPort, UNSPECIFIED } from '../wire/address.ts';
import { WireError } from '../wire/error.ts';
import { Inbox } from '../wire/inbox.ts';
import { Command, Method, Reply } from '../wire/socks5.ts';
import { detect } from './detect.ts';
import type { AnswerHttp } from './foreign.ts';
import type { ServerEvent, ServerProtocol, ServerHandshakeState, ServerSide } from './protocol.ts';

export interface ServerHandshakeOptions {
  /** What is spoken; a client of another version of SOCKS gets a refusal. @default ['socks5', 'socks4'] */
  readonly protocols?: readonly ServerProtocol[];
  /** Answers HTTP that is no CONNECT; its head has 16 KiB at most. @default a page that says what this port is */
  readonly answerHttp?: AnswerHttp;
}

/**
 * The server's side of a handshake, in whichever of its protocols the client begins: bytes in by `receive`, events out by
 * `next`, answers as bytes to write. It does no I/O and keeps no time. A call that is not due throws a plain Error: that is a
 * mistake of the caller. So nothing is granted before the client was accepted.
 */
export class ServerHandshake {
  readonly #protocols: readonly ServerProtocol[];
  readonly #answerHttp: AnswerHttp | undefined;
  readonly #inbox = new Inbox();
  #state: ServerHandshakeState = 'greeting';
  /** Once it is known which protocol this is. */
  #side: ServerSide | undefined;
  #offered: readonly number[] | undefined;
  /** Once there is a request. */
  #command: number | undefined;
  /** What a broken protocol, or a foreign one, calls for. */
  #refusal: Uint8Array | undefined;

  constructor({ protocols = DEFAULT_PROTOCOLS, answerHttp }: ServerHandshakeOptions = {}) {
    this.#protocols = protocols;
    this.#answerHttp = answerHttp;
  }

  get state(): ServerHandshakeState {
    return this.#state;
  }

  /** Takes bytes from the client. The chunk is the handshake's from now on: the caller must not write to it. */
  receive(chunk: Uint8Array): void {
    if (this.#state !== 'closed') this.#inbox.add(chunk);
  }

  /**
   * What the client said; `undefined` when more bytes are needed, or when it is the server's turn. Throws a WireError, once,
   * when the client broke the protocol: send what `refuse` gives, if anything, and close.
   */
  next(): ServerEvent | undefined {
    if (!CLIENTS_TURN.has(this.#state)) return undefined;
    try {
      this.#side ??= detect(this.#inbox.bytes, this.#protocols, this.#answerHttp);
      const event = this.#side?.read(this.#inbox, this.#state);
      if (event !== undefined) this.#advance(event);
      return event;
    } catch (error) {
      if (error instanceof WireError) this.#close(this.#refusalNow(replyTo(error)));
      throw error;
    }
  }

  /** The answer to a greeting: a method out of those offered. */
  chooseMethod(method: typeof Method.none | typeof Method.password): Uint8Array {
    this.#expect('method');
    if (this.#offered?.includes(method) !== true) throw new Error(`method ${method} was not offered`);
    this.#state = method === Method.password ? 'password' : 'request';
    return this.#side!.encodeMethod!(method);
  }

  /** The client is who it says, or need not say: what answers that, if the protocol has a word for it. */
  accept(): Uint8Array | undefined {
    this.#expect('verdict');
    this.#state = this.#command === undefined ? 'request' : 'reply';
    return this.#side!.encodeAccepted?.();
  }

  /**
   * The answer to a request: one for every command, but two for BIND if the first is a success. `bound` is BND.ADDR, for
   * RESOLVE and RESOLVE_PTR the answer itself; a host that is no literal goes as a name.
   */
  reply(code: Reply, bound: HostPort = UNSPECIFIED): Uint8Array {
    this.#expect('reply', 'bind');
    const bytes = this.#side!.encodeReply(code, addressOf(bound.host, bound.port));
    if (code !== Reply.succeeded) this.#close();
    else this.#state = this.#state === 'reply' && this.#command === Command.bind ? 'bind' : 'done';
    return bytes;
  }

  /** Once the request is known, and its client accepted: takes what the client sent after it, the first bytes for the destination. */
  trailing(): Uint8Array {
    this.#expect('reply', 'bind', 'done', 'closed');
    return this.#inbox.drain();
  }

  /**
   * Ends the handshake, whatever its state, and gives the last bytes for the client; `undefined` when it waits for none. That is
   * the refusal of what is due (with `code` if that is the answer to a request; in HTTP `Reply.notAllowed`, before the client was
   * accepted, asks for user name and password), or what a WireError or a foreign protocol calls for.
   */
  refuse(code: Reply = Reply.generalFailure): Uint8Array | undefined {
    const refusal = SERVERS_TURN.has(this.#state) ? this.#refusalNow(code) : this.#refusal;
    this.#close();
    return refusal;
  }

  #advance(event: ServerEvent): void {
    switch (event.type) {
      case 'greeting':
        this.#offered = event.methods;
        this.#state = 'method';
        break;
      case 'password':
        this.#state = 'verdict';
        break;
      case 'request':
        this.#command = event.command;
        this.#state = this.#state === 'request' ? 'reply' : 'verdict';
        break;
      case 'foreign':
        this.#close(this.#refusalNow(Reply.generalFailure));
        break;
      default:
        event satisfies never;
    }
  }

  #refusalNow(code: Reply): Uint8Array | undefined {
    return this.#side?.encodeRefusal(code, this.#state);
  }

  #close(refusal?: Uint8Array): void {
    this.#state = 'closed';
    this.#refusal = refusal;
    this.#inbox.drain();
  }

  #expect(...states: readonly ServerHandshakeState[]): void {
    if (!states.includes(this.#state))
      throw new Error(`called in state ${this.#state}; this belongs to ${states.join(', ')}`);
  }
}

const DEFAULT_PROTOCOLS: readonly ServerProtocol[] = ['socks5', 'socks4'];

const CLIENTS_TURN: ReadonlySet<ServerHandshakeState> = new Set(['greeting', 'password', 'request']);
const SERVERS_TURN: ReadonlySet<ServerHandshakeState> = new Set(['method', 'verdict', 'reply', 'bind']);

function replyTo(error: WireError): Reply {
  return error.code === 'ERR_SOCKS_ADDRESS_TYPE' ? Reply.addressTypeNotSupported : Reply.generalFailure;
}
