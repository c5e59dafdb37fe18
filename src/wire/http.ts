import { addressOf, AddressType, formatAddress } from './address.ts';
import type { Address, HostPort } from './address.ts';
import { concat, decodeText } from './bytes.ts';
import type { Decoded } from './decoded.ts';
import { WireError } from './error.ts';
import type { Credentials } from './password.ts';
import { Reply } from './socks5.ts';

/** Bytes of a request or response head, including its empty line; a longer one is refused. */
const HEAD_LIMIT = 16_384;

/** Bytes of a user name and of a password, as in SOCKS. */
const CREDENTIAL_LIMIT = 255;

const CR = 0x0d;
const LF = 0x0a;
const COLON = 0x3a;

/**
 * An HTTP/1 request (RFC 9112 section 2.1). Header names are lower case; the values of repeated fields are
 * joined with commas.
 */
export interface HttpRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: ReadonlyMap<string, string>;
}

/** The response to a CONNECT. */
export interface HttpReply {
  readonly status: number;
  /** The error reported by the proxy (RFC 9209), as a SOCKS5 reply. */
  readonly reason?: Reply;
}

/**
 * How far a head has been scanned. When it arrives in pieces, scanning resumes there, with the same bytes in
 * front.
 */
export class HeadScan {
  /** Where the head begins: after interim responses. */
  start = 0;
  /** The earliest position of its end. */
  at = 0;
}

/** Decodes a request up to its empty line. Throws ERR_HTTP_HEAD. */
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

/** The destination of a CONNECT: host:port (RFC 9110 section 9.3.6). Throws ERR_HTTP_HEAD. */
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
 * User name and password from a Proxy-Authorization field (RFC 7617); `undefined` for another scheme, for
 * invalid UTF-8, and when one is longer than 255 bytes.
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
 * CONNECT host:port, with user name and password if given. Throws a RangeError for a host that HTTP cannot
 * carry, and for a user name with a colon.
 */
export function encodeConnect(destination: HostPort, credentials?: Credentials): Uint8Array {
  const to = formatAddress(destination);
  // Brackets are only for IPv6 addresses, never part of a name.
  if (!/^[!-Z\\^-~]+$/.test(destination.host) || parseTarget(to) === undefined)
    throw new RangeError('HTTP carries host names in ASCII only');
  const lines = [`CONNECT ${to} HTTP/1.1`, `Host: ${to}`];
  if (credentials !== undefined) lines.push(`Proxy-Authorization: Basic ${basic(credentials)}`);
  return encodeHead(lines);
}

/** Decodes the response to a CONNECT; interim ones (1xx) are skipped. Throws ERR_HTTP_HEAD. */
export function decodeHttpReply(
  bytes: Uint8Array,
  scan: HeadScan = new HeadScan(),
): Decoded<HttpReply> | undefined {
  for (;;) {
    const head = decodeHead(bytes, scan);
    if (head === undefined) return undefined;
    const status = statusOf(head.first);
    if (status === undefined) throw fault('not an HTTP/1 status line');
    // Interim responses count towards the limit of the head.
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
 * Decodes a refused CONNECT from its status line alone, when the rest of the head never arrives or is not
 * HTTP. All bytes are taken; `undefined` for anything else.
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

/**
 * The response to a CONNECT with this SOCKS5 reply code; a refusal gives details in Proxy-Status (RFC 9209).
 */
export function encodeHttpReply(code: number): Uint8Array {
  if (code === Reply.succeeded) return encodeHead(['HTTP/1.1 200 Connection established']);
  const [status, error] = REFUSALS.get(code) ?? GENERAL;
  return encodeHead([`HTTP/1.1 ${status}`, `Proxy-Status: garter; error=${error}`, ...CLOSE]);
}

/** A response that requests user name and password (RFC 9110 section 11.7.1). */
export function encodeHttpChallenge(): Uint8Array {
  const ask = 'Proxy-Authenticate: Basic realm="garter", charset="UTF-8"';
  return encodeHead(['HTTP/1.1 407 Proxy Authentication Required', ask, ...CLOSE]);
}

/** The response to a request other than CONNECT. */
export function encodeBadRequest(): Uint8Array {
  return encodeHead(['HTTP/1.1 400 Bad Request', ...CLOSE]);
}

/** The SOCKS5 reply for an HTTP status, when there are no details. */
export function replyToStatus(status: number): Reply {
  if (status >= 200 && status < 300) return Reply.succeeded;
  return BY_STATUS.get(status) ?? Reply.generalFailure;
}

const CLOSE: readonly string[] = ['Content-Length: 0', 'Connection: close'];

/** A refusal as an HTTP status, and as an error type of RFC 9209 section 2.3. */
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

/** Includes error types that only other proxies send. */
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

/** The error in Proxy-Status; if several proxies added one, the first member comes from the farthest. */
function reasonOf(field: string | undefined): Reply | undefined {
  const [, error] = /; *error=([a-z_]+)/.exec(field ?? '') ?? [];
  return error === undefined ? undefined : REASONS.get(error);
}

interface Head {
  readonly first: string;
  readonly headers: ReadonlyMap<string, string>;
  /** Up to and including the empty line. */
  readonly size: number;
}

/** Decodes the first line and the fields, up to the empty line. Lines must end with CR LF. */
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

/** As in HTTP: one character per byte. */
function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}

/** The position of CR LF CR LF; `undefined` until it arrives. */
function findEnd(bytes: Uint8Array, scan: HeadScan): number | undefined {
  for (let at = bytes.indexOf(CR, scan.at); at >= 0; at = bytes.indexOf(CR, at + 1)) {
    if (at + 4 > HEAD_LIMIT) break;
    // Text full of these would be scanned repeatedly.
    if (at + 1 < bytes.length && bytes[at + 1] !== LF) throw fault('a CR without its LF');
    if (bytes[at + 1] === LF && bytes[at + 2] === CR && bytes[at + 3] === LF) return at;
  }
  if (bytes.length > HEAD_LIMIT) throw fault(`more than ${HEAD_LIMIT} bytes without an empty line`);
  // Any earlier CR is followed by three bytes and was ruled out.
  scan.at = Math.max(scan.at, bytes.length - 3);
  return undefined;
}

/** Removes leading and trailing blanks. By index: a backtracking expression would take quadratic time. */
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
