import { addressOf, type HostPort, UNSPECIFIED } from '../wire/address.ts';
import { WireError } from '../wire/error.ts';
import { Inbox } from '../wire/inbox.ts';
import { Command, Method, Reply } from '../wire/socks5.ts';
import { detect } from './detect.ts';
import type { AnswerHttp } from './foreign.ts';
import type { ServerEvent, ServerProtocol, ServerHandshakeState, ServerSide } from './protocol.ts';

export interface ServerHandshakeOptions {
  /**
   * The enabled protocols; a client of another version of SOCKS gets a refusal. @default ['socks5', 'socks4']
   */
  readonly protocols?: readonly ServerProtocol[];
  /**
   * Answers HTTP other than CONNECT; the head has 16 KiB at most. @default a page that describes this port
   */
  readonly answerHttp?: AnswerHttp;
}

/**
 * The server's side of a handshake, in whichever enabled protocol the client begins: feed bytes to `receive`,
 * take events from `next`, and write the bytes of the answers. It does no I/O and keeps no time. A call that
 * is not due throws a plain Error, as a fault of the caller. Thus nothing is granted before the client has
 * been accepted.
 */
export class ServerHandshake {
  readonly #protocols: readonly ServerProtocol[];
  readonly #answerHttp: AnswerHttp | undefined;
  readonly #inbox = new Inbox();
  #state: ServerHandshakeState = 'greeting';
  /** Set once the protocol is known. */
  #side: ServerSide | undefined;
  #offered: readonly number[] | undefined;
  /** Set once there is a request. */
  #command: number | undefined;
  /** The last bytes after a protocol violation, or for a foreign protocol. */
  #refusal: Uint8Array | undefined;

  constructor({ protocols = DEFAULT_PROTOCOLS, answerHttp }: ServerHandshakeOptions = {}) {
    this.#protocols = protocols;
    this.#answerHttp = answerHttp;
  }

  get state(): ServerHandshakeState {
    return this.#state;
  }

  /**
   * Takes bytes from the client. The chunk then belongs to the handshake: the caller must not write to it.
   */
  receive(chunk: Uint8Array): void {
    if (this.#state !== 'closed') this.#inbox.add(chunk);
  }

  /**
   * The client's next message; `undefined` when more bytes are needed, or when it is the server's turn.
   * Throws a WireError, once, when the client has violated the protocol: send the result of `refuse`, if any,
   * and close.
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

  /** The answer to a greeting: one of the offered methods. */
  chooseMethod(method: typeof Method.none | typeof Method.password): Uint8Array {
    this.#expect('method');
    if (this.#offered?.includes(method) !== true) throw new Error(`method ${method} was not offered`);
    this.#state = method === Method.password ? 'password' : 'request';
    return this.#side!.encodeMethod!(method);
  }

  /** Accepts the client, with or without credentials; returns the answer to them, if the protocol has one. */
  accept(): Uint8Array | undefined {
    this.#expect('verdict');
    this.#state = this.#command === undefined ? 'request' : 'reply';
    return this.#side!.encodeAccepted?.();
  }

  /**
   * The answer to a request: one for every command, but two for BIND if the first is a success. `bound` is
   * BND.ADDR, for RESOLVE and RESOLVE_PTR the answer itself; a host that is not a literal is sent as a name.
   */
  reply(code: Reply, bound: HostPort = UNSPECIFIED): Uint8Array {
    this.#expect('reply', 'bind');
    const bytes = this.#side!.encodeReply(code, addressOf(bound.host, bound.port));
    if (code !== Reply.succeeded) this.#close();
    else this.#state = this.#state === 'reply' && this.#command === Command.bind ? 'bind' : 'done';
    return bytes;
  }

  /**
   * Once the request is known and its client accepted: takes the bytes that the client sent after it, the
   * first for the destination.
   */
  trailing(): Uint8Array {
    this.#expect('reply', 'bind', 'done', 'closed');
    return this.#inbox.drain();
  }

  /**
   * Ends the handshake in any state, and returns the last bytes for the client; `undefined` when it expects
   * none. They are a refusal of the message that is due, or the answer to a WireError or a foreign protocol.
   * `code` applies if a request is to be answered; in HTTP, `Reply.notAllowed` before the client was accepted
   * requests user name and password.
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
