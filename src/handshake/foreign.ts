import { WireError } from '../wire/error.ts';
import { decodeHttpRequest, HeadScan, type HttpRequest } from '../wire/http.ts';
import type { Inbox } from '../wire/inbox.ts';
import type { ForeignKind, ServerEvent, ServerSide } from './protocol.ts';

/** The whole answer to an HTTP request, head and body; `undefined`: the page that describes this port. */
export type AnswerHttp = (request: HttpRequest) => Uint8Array | undefined;

/** Clients that speak no proxy protocol. HTTP gets an answer; the others are closed. */
export class ForeignSide implements ServerSide {
  readonly #kind: ForeignKind;
  readonly #answerHttp: AnswerHttp | undefined;
  readonly #scan = new HeadScan();
  #answer: Uint8Array | undefined;

  constructor(kind: ForeignKind, answerHttp: AnswerHttp | undefined) {
    this.#kind = kind;
    this.#answerHttp = answerHttp;
  }

  /** With `answerHttp`, waits for the whole head of the request. */
  read({ bytes }: Inbox): ServerEvent | undefined {
    if (this.#kind === 'http') {
      this.#answer = this.#answerTo(bytes);
      if (this.#answer === undefined) return undefined;
    }
    return { type: 'foreign', kind: this.#kind };
  }

  encodeReply(): never {
    throw new Error('there was no request');
  }

  encodeRefusal(): Uint8Array | undefined {
    return this.#answer;
  }

  #answerTo(bytes: Uint8Array): Uint8Array | undefined {
    if (this.#answerHttp === undefined) return page();
    try {
      const request = decodeHttpRequest(bytes, this.#scan);
      return request && (this.#answerHttp(request.value) ?? page());
    } catch (error) {
      if (error instanceof WireError) return page();
      throw error;
    }
  }
}

const PAGE = `This port speaks SOCKS 4 and 5, not HTTP.

In a browser, set it as a SOCKS proxy; with curl:

    curl -x socks5h://HOST:PORT https://www.example.com/
`;

/** Describes this port, and how to use it. */
function page(): Uint8Array {
  return new TextEncoder().encode(
    [
      'HTTP/1.1 400 Bad Request',
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${PAGE.length}`,
      'Connection: close',
      '',
      PAGE,
    ].join('\r\n'),
  );
}
