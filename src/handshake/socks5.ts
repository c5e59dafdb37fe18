import { UNSPECIFIED } from '../wire/address.ts';
import { WireError } from '../wire/error.ts';
import type { Inbox } from '../wire/inbox.ts';
import {
  decodeCredentials,
  decodePasswordStatus,
  encodeCredentials,
  encodePasswordStatus,
  PasswordStatus,
} from '../wire/password.ts';
import {
  decodeGreeting,
  decodeMethod,
  decodeSocks5Refusal,
  decodeSocks5Reply,
  decodeSocks5Request,
  encodeGreeting,
  encodeMethod,
  encodeSocks5Reply,
  encodeSocks5Request,
  knownReply,
  Method,
  Reply,
} from '../wire/socks5.ts';
import type {
  ClientEvent,
  ClientHandshakeOptions,
  ClientHandshakeState,
  ClientSide,
  SendEvent,
  ServerSide,
} from './protocol.ts';

/**
 * SOCKS5 (RFC 1928): a greeting that offers methods, the exchange of the chosen method (RFC 1929), and the
 * request.
 */
export const socks5Server: ServerSide = {
  read(inbox, state) {
    if (state === 'greeting') {
      const methods = inbox.take(decodeGreeting);
      return methods && { type: 'greeting', methods };
    }
    if (state === 'password') {
      const credentials = inbox.take(decodeCredentials);
      return credentials && { type: 'password', ...credentials };
    }
    const request = inbox.take(decodeSocks5Request);
    if (request === undefined) return undefined;
    const { command, destination } = request;
    return { type: 'request', protocol: 'socks5', command, destination };
  },

  encodeMethod,

  encodeAccepted() {
    return encodePasswordStatus(PasswordStatus.success);
  },

  encodeReply(code, bound) {
    return encodeSocks5Reply({ code, bound });
  },

  encodeRefusal(code, state) {
    if (state === 'greeting' || state === 'method') return encodeMethod(Method.noneAcceptable);
    if (state === 'password' || state === 'verdict') return encodePasswordStatus(PasswordStatus.failure);
    return encodeSocks5Reply({ code, bound: UNSPECIFIED });
  },
};

export class Socks5Client implements ClientSide {
  readonly #request: Uint8Array;
  readonly #credentials: Uint8Array | undefined;

  constructor({ command, destination, credentials }: ClientHandshakeOptions) {
    this.#request = encodeSocks5Request({ command, destination });
    if (credentials?.username === '')
      throw new RangeError('an empty user name (RFC 1929 has 1 to 255 bytes)');
    this.#credentials = credentials && encodeCredentials(credentials);
  }

  start(): SendEvent {
    return { type: 'send', bytes: encodeGreeting(this.#offered), awaits: 'method' };
  }

  read(inbox: Inbox, state: ClientHandshakeState): ClientEvent | undefined {
    if (state === 'method') return this.#readMethod(inbox);
    if (state === 'password') return this.#readStatus(inbox);
    const code = inbox.take(decodeSocks5Refusal);
    if (code !== undefined)
      return { type: 'reply', ok: false, code, reply: knownReply(code), bound: UNSPECIFIED };
    const granted = inbox.take(decodeSocks5Reply);
    if (granted === undefined) return undefined;
    return {
      type: 'reply',
      ok: true,
      code: granted.code,
      reply: Reply.succeeded,
      bound: granted.bound,
    };
  }

  #readMethod(inbox: Inbox): ClientEvent | undefined {
    const method = inbox.take(decodeMethod);
    if (method === undefined) return undefined;
    if (method === Method.noneAcceptable) return { type: 'refused', phase: 'method' };
    if (!this.#offered.includes(method))
      throw new WireError('ERR_SOCKS_METHOD_NOT_OFFERED', `method ${method} was not offered`);
    if (method === Method.none || this.#credentials === undefined) return this.#sendRequest();
    return { type: 'send', bytes: this.#credentials, awaits: 'password' };
  }

  #readStatus(inbox: Inbox): ClientEvent | undefined {
    const status = inbox.take(decodePasswordStatus);
    if (status === undefined) return undefined;
    return status === PasswordStatus.success ? this.#sendRequest() : { type: 'refused', phase: 'password' };
  }

  #sendRequest(): SendEvent {
    return { type: 'send', bytes: this.#request, awaits: 'reply' };
  }

  get #offered(): readonly number[] {
    return this.#credentials === undefined ? WITHOUT_PASSWORD : WITH_PASSWORD;
  }
}

const WITHOUT_PASSWORD: readonly number[] = [Method.none];
const WITH_PASSWORD: readonly number[] = [Method.none, Method.password];
