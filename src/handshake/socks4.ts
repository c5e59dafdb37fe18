import { AddressType, UNSPECIFIED } from '../wire/address.ts';
import type { Inbox } from '../wire/inbox.ts';
import {
  decodeSocks4Refusal,
  decodeSocks4Reply,
  decodeSocks4Request,
  encodeSocks4Reply,
  encodeSocks4Request,
  Socks4Result,
} from '../wire/socks4.ts';
import { Reply } from '../wire/socks5.ts';
import type { ClientHandshakeOptions, ClientSide, ReplyEvent, SendEvent, ServerSide } from './protocol.ts';

/**
 * SOCKS4 and SOCKS4A: one message each way. The reply is granted or rejected, and has room only for an IPv4
 * address: any other becomes 0.0.0.0, which means the address of this server.
 */
export const socks4Server: ServerSide = {
  read(inbox) {
    const request = inbox.take(decodeSocks4Request);
    if (request === undefined) return undefined;
    const { command, destination, userId } = request;
    return { type: 'request', protocol: 'socks4', command, destination, userId };
  },

  encodeReply(code, bound) {
    return encodeSocks4Reply({
      code: code === Reply.succeeded ? Socks4Result.granted : Socks4Result.rejected,
      bound: bound.type === AddressType.ipv4 ? bound : { ...UNSPECIFIED, port: bound.port },
    });
  },

  encodeRefusal() {
    return encodeSocks4Reply({ code: Socks4Result.rejected, bound: UNSPECIFIED });
  },
};

export class Socks4Client implements ClientSide {
  readonly #request: Uint8Array;

  constructor({ protocol, command, destination, userId = '' }: ClientHandshakeOptions) {
    if (protocol === 'socks4' && destination.type === AddressType.name)
      throw new RangeError('SOCKS4 cannot carry names, SOCKS4A can');
    this.#request = encodeSocks4Request({ command, destination, userId });
  }

  start(): SendEvent {
    return { type: 'send', bytes: this.#request, awaits: 'reply' };
  }

  read(inbox: Inbox): ReplyEvent | undefined {
    const code = inbox.take(decodeSocks4Refusal);
    if (code !== undefined)
      return { type: 'reply', ok: false, code, reply: Reply.generalFailure, bound: UNSPECIFIED };
    const granted = inbox.take(decodeSocks4Reply);
    if (granted === undefined) return undefined;
    return {
      type: 'reply',
      ok: true,
      code: granted.code,
      reply: Reply.succeeded,
      bound: granted.bound,
    };
  }
}
