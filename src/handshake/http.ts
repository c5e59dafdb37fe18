import { type Address, UNSPECIFIED } from '../wire/address.ts';
import { WireError } from '../wire/error.ts';
import {
  decodeBasic,
  decodeConnectTarget,
  decodeHttpRefusal,
  decodeHttpReply,
  decodeHttpRequest,
  encodeBadRequest,
  encodeConnect,
  encodeHttpChallenge,
  encodeHttpReply,
  HeadScan,
  replyToStatus,
} from '../wire/http.ts';
import type { HttpReply } from '../wire/http.ts';
import type { Inbox } from '../wire/inbox.ts';
import { Command, Reply } from '../wire/socks5.ts';
import type {
  ClientHandshakeOptions,
  ClientSide,
  RefusedEvent,
  ReplyEvent,
  RequestEvent,
  SendEvent,
  ServerHandshakeState,
  ServerSide,
} from './protocol.ts';

/**
 * CONNECT (RFC 9110 section 9.3.6): one message each way; user name and password come with the request (RFC
 * 7617).
 */
export class HttpServer implements ServerSide {
  readonly #scan = new HeadScan();

  read(inbox: Inbox): RequestEvent | undefined {
    const request = inbox.take((bytes) => decodeHttpRequest(bytes, this.#scan));
    if (request === undefined) return undefined;
    const destination = decodeConnectTarget(request.target);
    const field = request.headers.get('proxy-authorization');
    const credentials = field === undefined ? undefined : decodeBasic(field);
    const event = { type: 'request', protocol: 'http', command: Command.connect, destination } as const;
    return credentials === undefined ? event : { ...event, credentials };
  }

  encodeReply(code: Reply, _bound: Address): Uint8Array {
    return encodeHttpReply(code);
  }

  encodeRefusal(code: Reply, state: ServerHandshakeState): Uint8Array {
    if (state === 'greeting') return encodeBadRequest();
    // Before a client is accepted, only its credentials can be refused.
    return state === 'verdict' && code === Reply.notAllowed ? encodeHttpChallenge() : encodeHttpReply(code);
  }
}

/** The status that requests user name and password. */
const PROXY_AUTHENTICATION = 407;

export class HttpClient implements ClientSide {
  readonly #request: Uint8Array;
  readonly #hasCredentials: boolean;
  readonly #scan = new HeadScan();

  constructor({ command, destination, credentials }: ClientHandshakeOptions) {
    if (command !== Command.connect) throw new RangeError('HTTP knows CONNECT only');
    this.#request = encodeConnect(destination, credentials);
    this.#hasCredentials = credentials !== undefined;
  }

  start(): SendEvent {
    return { type: 'send', bytes: this.#request, awaits: 'reply' };
  }

  read(inbox: Inbox): ReplyEvent | RefusedEvent | undefined {
    return this.#outcome(inbox.take((bytes) => decodeLeniently(bytes, this.#scan)));
  }

  readCut(inbox: Inbox): ReplyEvent | RefusedEvent | undefined {
    return this.#outcome(inbox.take(decodeHttpRefusal));
  }

  #outcome(answer: HttpReply | undefined): ReplyEvent | RefusedEvent | undefined {
    if (answer === undefined) return undefined;
    const { status: code, reason: reply = replyToStatus(code) } = answer;
    if (code === PROXY_AUTHENTICATION)
      return { type: 'refused', phase: this.#hasCredentials ? 'password' : 'method' };
    return { type: 'reply', ok: reply === Reply.succeeded, code, reply, bound: UNSPECIFIED };
  }
}

/** Fields after the status line of a refusal must not affect it. */
function decodeLeniently(bytes: Uint8Array, scan: HeadScan): ReturnType<typeof decodeHttpReply> {
  try {
    return decodeHttpReply(bytes, scan);
  } catch (error) {
    const refusal = error instanceof WireError ? decodeHttpRefusal(bytes) : undefined;
    if (refusal === undefined) throw error;
    return refusal;
  }
}
