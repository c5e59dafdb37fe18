import { addressOf } from '../../../src/wire/address.ts';
import type { Address } from '../../../src/wire/address.ts';
import { WireError } from '../../../src/wire/error.ts';
import {
  decodeBasic,
  decodeConnectTarget,
  decodeHttpReply,
  decodeHttpRequest,
  encodeConnect,
  replyToStatus,
} from '../../../src/wire/http.ts';
import type { HttpReply, HttpRequest } from '../../../src/wire/http.ts';
import type { Credentials } from '../../../src/wire/password.ts';
import { codec } from '../codec.ts';
import { keeps, same, utf8, words } from '../target.ts';
import type { Target } from '../target.ts';

const TOKENS = [
  '\r\n',
  '\r\n\r\n',
  'CONNECT ',
  ' HTTP/1.1\r\n',
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.0 100\r\n\r\n',
  'Proxy-Authorization: Basic ',
  'YWxpY2U6czNjcmV0',
  'Proxy-Status: a; error=dns_error',
  '[2001:db8::1]:443',
  ', ',
  ' \t',
  '\0',
];

export const targets: readonly Target[] = [
  codec({
    name: 'http-request',
    decode: decodeHttpRequest,
    examine: examineRequest,
    seeds: [
      'CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\n\r\n',
      'CONNECT [2001:db8::1]:80 HTTP/1.0\r\nProxy-Authorization: Basic YWxpY2U6czNjcmV0\r\n\r\nrest',
      'GET /proxy.pac HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nx-a:2 \t\r\n\r\n',
    ].map(digits),
    tokens: TOKENS,
  }),
  codec({
    name: 'http-reply',
    decode: decodeHttpReply,
    examine: examineReply,
    seeds: [
      'HTTP/1.1 200 OK\r\n\r\nrest',
      'HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.0 204\r\n\r\n',
      'HTTP/1.1 502 Bad Gateway\r\nProxy-Status: a; error=dns_error, b\r\nContent-Length: 0\r\n\r\n',
    ].map(digits),
    tokens: TOKENS,
  }),
  {
    name: 'http-connect',
    testRuns: 20_000,
    seeds: ['www.example.com\nalice\ns3cret', '2001:db8::1\nå\na:b', '192.0.2.1', '::ffff:1.2.3.4\n\n'].map(
      utf8,
    ),
    tokens: words('\n : [ ] / @ ? # % \r\n ::1 1.2.3.4 é \0'),
    run(input) {
      const [host = '', username, password = ''] = Buffer.from(input).toString().split('\n');
      const destination = addressOf(host, (input.length * 257) % 65_536);
      const credentials = username === undefined ? undefined : { username, password };
      let bytes: Uint8Array;
      try {
        bytes = encodeConnect(destination, credentials);
      } catch (error) {
        if (error instanceof RangeError) return 'not carried';
        throw error;
      }
      const request = decodeHttpRequest(bytes);
      keeps('what is sent is one request', request?.size === bytes.length);
      same('it goes where it should', targetOf(request!.value), destination);
      const isShort = [username ?? '', password].every((text) => Buffer.byteLength(text) <= 255);
      if (isShort) same('it shows who it is', loginOf(request!.value), credentials);
      return `${destination.type} ${credentials !== undefined}`;
    },
  },
];

function digits(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex');
}

/** Encoding the request again gives the same result. */
function examineRequest(request: HttpRequest): string {
  for (const [name, value] of request.headers) {
    keeps('the name of a field is in lower case', name === name.toLowerCase());
    keeps('a field is one line', !/[\r\n\0]/.test(value));
  }
  const destination = targetOf(request);
  const credentials = loginOf(request);
  if (destination === undefined) return 'no target';
  const again = decodeHttpRequest(encodeConnect(destination, credentials))!.value;
  same('sent on, it goes to the same place', targetOf(again), destination);
  same('sent on, it shows the same user', loginOf(again), credentials);
  return `${destination.type} ${credentials !== undefined}`;
}

function examineReply({ status, reason }: HttpReply): string {
  keeps('an answer is final', Number.isInteger(status) && status >= 200 && status <= 599, () => `${status}`);
  const reply = reason ?? replyToStatus(status);
  keeps('it is a reply of SOCKS5', Number.isInteger(reply) && reply >= 0 && reply <= 8, () => `${reply}`);
  return `${reply} ${reason !== undefined}`;
}

function targetOf({ target }: HttpRequest): Address | undefined {
  try {
    return decodeConnectTarget(target);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function loginOf({ headers }: HttpRequest): Credentials | undefined {
  const field = headers.get('proxy-authorization');
  return field === undefined ? undefined : decodeBasic(field);
}
