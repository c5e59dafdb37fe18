import { addressOf, AddressType, formatAddress } from './address.ts';
import type { Address, HostPort } from './address.ts';
import { concat, decodeText } from './bytes.ts';
import type { Decoded } from './decoded.ts';
import { WireError } from './error.ts';
import type { Credentials } from './password.ts';
import { Reply } from './socks5.ts';

/** Bytes of a request or answer with its empty line; a longer one is refused. */
const HEAD_LIMIT = 16_384;

/** Bytes of a user name, and of a password, as in SOCKS. */
const CREDENTIAL_LIMIT = 255;

const CR = 0x0d;
const LF = 0x0a;
const COLON = 0x3a;

/** A request of HTTP/1 (RFC 9112 section 2.1). Header names are lower case; the values of several fields of one name are joined with commas. */
export interface HttpRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: ReadonlyMap<string, string>;
}

/** An answer to CONNECT. */
export interface HttpReply {
  readonly status: number;
  /** What the proxy says went wrong (RFC 9209), as a reply of SOCKS5. */
  readonly reason?: Reply;
}

/** How much of a head has been looked through. One that comes in pieces is read on from there, with the same bytes in front. */
export class HeadScan {
  /** Where the head begins: behind interim answers. */
  start = 0;
  /** Where its end may begin. */
  at = 0;
}

/** A request up to its empty line. Throws ERR_HTTP_HEAD. */
export function decodeHttpRequest(
  bytes: Uint8Array,
  scan: HeadScan = new HeadScan(),
): Decoded<HttpRequest> | undefined {
  const head = decodeHead(bytes, scan);
  if (head === undefined) return undefined;
  const { first, headers, size } = head;
  const [, method, target] = /^([!#$%&'*+.^_`|~\dA-Za-z-]+) ([\x21-\x7e]+) HTTP\/1\.[01]$/.exec(first) ?? [];
  if (method === undefined || target === undefined) throw fault('not an HTTP/1 request line');
  return { value: { method, target, headers }, size };
}

/** Where a CONNECT wants to go: host:port (RFC 9110 section 9.3.6). Throws ERR_HTTP_HEAD. */
export function decodeConnectTarget(target: string): Address {
  const address = parseTarget(target);
  if (address === undefined) throw fault('CONNECT takes host:port');
  return address;
}

function parseTarget(target: string): Address | undefined {
  const [, v6, name, digits] =
    /^(?:\[([\d:.A-Fa-f]+)\]|([^\s:/?#@[\]]{1,255})):(\d{1,5})$/.exec(target) ?? [];
  const host = v6 ?? name;
  if (host === undefined || Number(digits) > 65_535) return undefined;
  const address = addressOf(host, Number(digits));
  return v6 === undefined || address.type === AddressType.ipv6 ? address : undefined;
}

/**
 * User name and password of a Proxy-Authorization field (RFC 7617); `undefined` for another scheme, for what is no UTF-8 and for
 * more than 255 bytes of one.
 */
export function decodeBasic(field: string): Credentials | undefined {
  const [, token] = /^basic +([\w+/-]+={0,2}) *$/i.exec(field) ?? [];
  const bytes = token === undefined ? undefined : decodeBase64(token);
  const colon = bytes?.indexOf(COLON) ?? -1;
  if (bytes === undefined || colon < 0) return undefined;
  if (colon > CREDENTIAL_LIMIT || bytes.length - colon - 1 > CREDENTIAL_LIMIT) return undefined;
  const username = decodeText(bytes.subarray(0, colon));
  const password = decodeText(bytes.subarray(colon + 1));
  return username === undefined || password === undefined ? undefined : { username, password };
}

function decodeBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/**
 * CONNECT host:port, with user name and password if there are any. Throws a RangeError for a host that HTTP
 * cannot carry, and for a user name with a colon.
 */
export function encodeConnect(destination: HostPort, credentials?: Credentials): Uint8Array {
  const to = formatAddress(destination);
  // Brackets are those of an IPv6 address, never of a name.
  if (!/^[!-Z\\^-~]+$/.test(destination.host) || parseTarget(to) === undefined)
    throw new RangeError('HTTP carries host names in ASCII only');
  const lines = [`CONNECT ${to} HTTP/1.1`, `Host: ${to}`];
  if (credentials !== undefined) lines.push(`Proxy-Authorization: Basic ${basic(credentials)}`);
  return encodeHead(lines);
}

/** The answer to a CONNECT; interim ones (1xx) are skipped. Throws ERR_HTTP_HEAD. */
export function decodeHttpReply(
  bytes: Uint8Array,
  scan: HeadScan = new HeadScan(),
): Decoded<HttpReply> | undefined {
  for (;;) {
    const head = decodeHead(bytes, scan);
    if (head === undefined) return undefined;
    const status = statusOf(head.first);
    if (status === undefined) throw fault('not an HTTP/1 status line');
    // All of them together are one head.
    if (status < 200) {
      scan.start = head.size;
      scan.at = head.size;
      continue;
    }
    const reason = reasonOf(head.headers.get('proxy-status'));
    return { value: { status, ...(reason !== undefined && { reason }) }, size: head.size };
  }
}

/**
 * A refused CONNECT by its status line alone, where its end and what follows never come or are no HTTP. All bytes belong to it;
 * `undefined` for anything else.
 */
export function decodeHttpRefusal(bytes: Uint8Array): Decoded<HttpReply> | undefined {
  const scan = new HeadScan();
  for (;;) {
    const rest = bytes.subarray(scan.start);
    const end = rest.findIndex((byte) => byte === CR || byte === LF);
    const status = statusOf(latin1(end < 0 ? rest : rest.subarray(0, end)));
    if (status === undefined) return undefined;
    if (status >= 200) return status < 300 ? undefined : { value: { status }, size: bytes.length };
    const interim = decodeHead(bytes, scan);
    if (interim === undefined) return undefined;
    scan.start = interim.size;
    scan.at = interim.size;
  }
}

function statusOf(line: string): number | undefined {
  const [, digits] = /^HTTP\/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?$/.exec(line) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** The answer to a CONNECT, for what is a reply in SOCKS5; a refusal says more in Proxy-Status (RFC 9209). */
export function encodeHttpReply(code: number): Uint8Array {
  if (code === Reply.succeeded) return encodeHead(['HTTP/1.1 200 Connection established']);
  const [status, error] = REFUSALS.get(code) ?? GENERAL;
  return encodeHead([`HTTP/1.1 ${status}`, `Proxy-Status: garter; error=${error}`, ...CLOSE]);
}

/** What asks for user name and password (RFC 9110 section 11.7.1). */
export function encodeHttpChallenge(): Uint8Array {
  const ask = 'Proxy-Authenticate: Basic realm="garter", charset="UTF-8"';
  return encodeHead(['HTTP/1.1 407 Proxy Authentication Required', ask, ...CLOSE]);
}

/** The answer to what is no CONNECT after all. */
export function encodeBadRequest(): Uint8Array {
  return encodeHead(['HTTP/1.1 400 Bad Request', ...CLOSE]);
}

/** What a status of HTTP is in SOCKS5, where nothing says more. */
export function replyToStatus(status: number): Reply {
  if (status >= 200 && status < 300) return Reply.succeeded;
  return BY_STATUS.get(status) ?? Reply.generalFailure;
}

const CLOSE: readonly string[] = ['Content-Length: 0', 'Connection: close'];

/** A refusal in HTTP, and as an error type of RFC 9209 section 2.3. */
type Refusal = readonly [status: string, error: string];

const GENERAL: Refusal = ['502 Bad Gateway', 'proxy_internal_error'];
const REFUSALS: ReadonlyMap<number, Refusal> = new Map<number, Refusal>([
  [Reply.generalFailure, GENERAL],
  [Reply.notAllowed, ['403 Forbidden', 'http_request_denied']],
  [Reply.networkUnreachable, ['502 Bad Gateway', 'destination_ip_unroutable']],
  [Reply.hostUnreachable, ['502 Bad Gateway', 'destination_unavailable']],
  [Reply.connectionRefused, ['502 Bad Gateway', 'connection_refused']],
  [Reply.ttlExpired, ['504 Gateway Timeout', 'connection_timeout']],
  [Reply.commandNotSupported, ['501 Not Implemented', 'http_request_denied']],
]);

/** What other proxies say, too. */
const REASONS: ReadonlyMap<string, Reply> = new Map([
  ['http_request_denied', Reply.notAllowed],
  ['destination_ip_prohibited', Reply.notAllowed],
  ['destination_ip_unroutable', Reply.networkUnreachable],
  ['destination_unavailable', Reply.hostUnreachable],
  ['destination_not_found', Reply.hostUnreachable],
  ['dns_error', Reply.hostUnreachable],
  ['dns_timeout', Reply.hostUnreachable],
  ['connection_refused', Reply.connectionRefused],
  ['connection_terminated', Reply.connectionRefused],
  ['connection_timeout', Reply.ttlExpired],
  ['proxy_internal_error', Reply.generalFailure],
]);

const BY_STATUS: ReadonlyMap<number, Reply> = new Map([
  [401, Reply.notAllowed],
  [403, Reply.notAllowed],
  [404, Reply.hostUnreachable],
  [405, Reply.commandNotSupported],
  [501, Reply.commandNotSupported],
  [502, Reply.hostUnreachable],
  [503, Reply.hostUnreachable],
  [504, Reply.ttlExpired],
]);

/** Proxy-Status: of several proxies in a row the first member is the farthest. */
function reasonOf(field: string | undefined): Reply | undefined {
  const [, error] = /; *error=([a-z_]+)/.exec(field ?? '') ?? [];
  return error === undefined ? undefined : REASONS.get(error);
}

interface Head {
  readonly first: string;
  readonly headers: ReadonlyMap<string, string>;
  /** Of all to its end. */
  readonly size: number;
}

/** The first line and the fields, to the empty line. Lines end with CR LF, nothing else. */
function decodeHead(bytes: Uint8Array, scan: HeadScan): Head | undefined {
  const end = findEnd(bytes, scan);
  if (end === undefined) return undefined;
  const [first = '', ...fields] = latin1(bytes.subarray(scan.start, end)).split('\r\n');
  const headers = new Map<string, string>();
  for (const field of fields) {
    const [, name, value] = /^([!#$%&'*+.^_`|~\dA-Za-z-]+):([^\r\n\0]*)$/.exec(field) ?? [];
    if (name === undefined || value === undefined) throw fault('a malformed field');
    const key = name.toLowerCase();
    const before = headers.get(key);
    headers.set(key, before === undefined ? trimmed(value) : `${before}, ${trimmed(value)}`);
  }
  return { first, headers, size: end + 4 };
}

/** As HTTP has it: a byte is a character. */
function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}

/** Where the CR LF CR LF begins; `undefined` while it has not come. */
function findEnd(bytes: Uint8Array, scan: HeadScan): number | undefined {
  for (let at = bytes.indexOf(CR, scan.at); at >= 0; at = bytes.indexOf(CR, at + 1)) {
    if (at + 4 > HEAD_LIMIT) break;
    // A text of these alone would be read again and again.
    if (at + 1 < bytes.length && bytes[at + 1] !== LF) throw fault('a CR without its LF');
    if (bytes[at + 1] === LF && bytes[at + 2] === CR && bytes[at + 3] === LF) return at;
  }
  if (bytes.length > HEAD_LIMIT) throw fault(`more than ${HEAD_LIMIT} bytes without an empty line`);
  // A CR before has three bytes behind it, and was not the one.
  scan.at = Math.max(scan.at, bytes.length - 3);
  return undefined;
}

/** Without blanks at either end. By index: an expression that backs off would take the square of their number. */
function trimmed(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isBlank(text[start])) start++;
  while (end > start && isBlank(text[end - 1])) end--;
  return text.slice(start, end);
}

function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t';
}

function encodeHead(lines: readonly string[]): Uint8Array {
  return new TextEncoder().encode(`${lines.join('\r\n')}\r\n\r\n`);
}

function basic({ username, password }: Credentials): string {
  if (username.includes(':')) throw new RangeError('a user name with a colon (RFC 7617 section 2)');
  const encoder = new TextEncoder();
  const bytes = concat(encoder.encode(`${username}:`), encoder.encode(password));
  return btoa(latin1(bytes));
}

function fault(what: string): WireError {
  return new WireError('ERR_HTTP_HEAD', what);
}
