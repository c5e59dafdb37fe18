import { Inbox } from '../wire/inbox.ts';
import { Command } from '../wire/socks5.ts';
import { HttpClient } from './http.ts';
import type {
  ClientEvent,
  ClientHandshakeOptions,
  ClientHandshakeState,
  ClientSide,
  RefusedEvent,
  ReplyEvent,
} from './protocol.ts';
import { Socks4Client } from './socks4.ts';
import { Socks5Client } from './socks5.ts';

/**
 * The client's side of a handshake: write `start()`, then feed bytes to `receive` and take events from
 * `next`. It does no I/O and keeps no time. A call that is not due throws a plain Error, as a fault of the
 * caller.
 */
export class ClientHandshake {
  readonly #inbox = new Inbox();
  readonly #side: ClientSide;
  readonly #command: number;
  #state: ClientHandshakeState = 'start';

  /** Throws a RangeError for a request that the protocol cannot carry. */
  constructor(options: ClientHandshakeOptions) {
    this.#side = sideOf(options);
    this.#command = options.command;
  }

  get state(): ClientHandshakeState {
    return this.#state;
  }

  /** The first bytes to write. */
  start(): Uint8Array {
    this.#expect('start');
    const { bytes, awaits } = this.#side.start();
    this.#state = awaits;
    return bytes;
  }

  /**
   * Takes bytes from the server. The chunk then belongs to the handshake: the caller must not write to it.
   */
  receive(chunk: Uint8Array): void {
    if (this.#state !== 'closed') this.#inbox.add(chunk);
  }

  /**
   * The next event; `undefined` when more bytes are needed, or when the handshake is over. Throws a
   * WireError, once, when the server has violated the protocol: close.
   */
  next(): ClientEvent | undefined {
    if (!SERVERS_TURN.has(this.#state)) return undefined;
    try {
      const event = this.#side.read(this.#inbox, this.#state);
      if (event !== undefined) this.#advance(event);
      return event;
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /**
   * The server has ended or reset the connection: returns the event for a refusal that was cut off, if any,
   * and closes the handshake.
   */
  ended(): ReplyEvent | RefusedEvent | undefined {
    const event = this.#state === 'reply' ? this.#side.readCut?.(this.#inbox) : undefined;
    this.#close();
    return event;
  }

  /** After the last reply: takes the bytes that the server sent after it, the first from the destination. */
  trailing(): Uint8Array {
    this.#expect('done', 'closed');
    return this.#inbox.drain();
  }

  #advance(event: ClientEvent): void {
    if (event.type === 'send') this.#state = event.awaits;
    else if (event.type === 'refused' || !event.ok) this.#close();
    else this.#state = this.#state === 'reply' && this.#command === Command.bind ? 'bind' : 'done';
  }

  #close(): void {
    this.#state = 'closed';
    this.#inbox.drain();
  }

  #expect(...states: readonly ClientHandshakeState[]): void {
    if (!states.includes(this.#state))
      throw new Error(`called in state ${this.#state}; this belongs to ${states.join(', ')}`);
  }
}

const SERVERS_TURN: ReadonlySet<ClientHandshakeState> = new Set(['method', 'password', 'reply', 'bind']);

function sideOf(options: ClientHandshakeOptions): ClientSide {
  const { protocol } = options;
  switch (protocol) {
    case 'socks4':
    case 'socks4a':
      return new Socks4Client(options);
    case 'socks5':
      return new Socks5Client(options);
    case 'http':
      return new HttpClient(options);
    default:
      return protocol satisfies never;
  }
}
