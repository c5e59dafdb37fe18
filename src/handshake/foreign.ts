import { WireError } from '../wire/error.ts';
import { decodeHttpRequest, type HeadScan, type HttpRequest } from '../wire/http.ts';

/** What a client speaks that does not speak SOCKS. */
export type ForeignKind = 'http' | 'tls' | 'proxy' | 'unknown';

/** How other protocols open: HTTP/1 and HTTP/2, the handshake record of TLS, and the PROXY protocol, versions 1 and 2. */
const OPENINGS: readonly (readonly [ForeignKind, string])[] = [
  ['http', 'GET '],
  ['http', 'HEAD '],
  ['http', 'POST '],
  ['http', 'PUT '],
  ['http', 'DELETE '],
  ['http', 'CONNECT '],
  ['http', 'OPTIONS '],
  ['http', 'TRACE '],
  ['http', 'PATCH '],
  ['http', 'PRI '],
  ['tls', '\x16\x03'],
  ['proxy', 'PROXY '],
  ['proxy', '\r\n\r\n\0\r\nQUIT\n'],
];

/** Tells by the first bytes what a client speaks; `undefined` while they could still become one of several. */
export function recognise(bytes: Uint8Array): ForeignKind | undefined {
  const start = String.fromCharCode(...bytes.subarray(0, 12));
  const opening = OPENINGS.find(([, text]) => start.startsWith(text));
  if (opening !== undefined) return opening[0];
  return OPENINGS.some(([, text]) => text.startsWith(start)) ? undefined : 'unknown';
}

const PAGE = `This port speaks SOCKS 4 and 5, not HTTP.

In a browser, set it as a SOCKS proxy; with curl:

    curl -x socks5h://HOST:PORT https://www.example.com/
`;

/** The whole answer to an HTTP request, head and body; `undefined`: the page that says what this port is. */
export type AnswerHttp = (request: HttpRequest) => Uint8Array | undefined;

/** What HTTP is told. Where `answer` has a say, `undefined` until the head of the request is there. */
export function httpFarewell(
  bytes: Uint8Array,
  answer: AnswerHttp | undefined,
  scan: HeadScan,
): Uint8Array | undefined {
  if (answer === undefined) return httpPage();
  try {
    const request = decodeHttpRequest(bytes, scan);
    return request && (answer(request.value) ?? httpPage());
  } catch (error) {
    if (error instanceof WireError) return httpPage();
    throw error;
  }
}

/** What this port is, and how to use it. */
function httpPage(): Uint8Array {
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
