import { type Address, AddressType, decodeName, encodePort } from './address.ts';
import { concat, decodeTextLeniently, encodeText } from './bytes.ts';
import type { Decoded } from './decoded.ts';
import { WireError, type WireErrorCode } from './error.ts';
import { formatIp, ipBytes, ipFromBytes, parseIp } from './ip.ts';

const VERSION = 4;
const REPLY_VERSION = 0;

/** Version, CD, DSTPORT and DSTIP: a complete reply, and the start of a request. */
const HEAD_SIZE = 8;

/**
 * The protocol does not limit its two strings. This is the limit of SOCKS5; without one a peer could make
 * garter read for ever.
 */
const TEXT_LIMIT = 255;

/** CD of a reply (SOCKS4, CONNECT). */
export const Socks4Result = { granted: 90, rejected: 91, identUnreachable: 92, identMismatch: 93 } as const;
export type Socks4Result = (typeof Socks4Result)[keyof typeof Socks4Result];

/** A SOCKS4 request; with a name as destination it is SOCKS4A. An unknown command is kept as a number. */
export interface Socks4Request {
  readonly command: number;
  readonly destination: Address;
  /**
   * The client's own claim, not authenticated; invalid UTF-8 therefore becomes U+FFFD instead of an error.
   */
  readonly userId: string;
}

/** `bound` is always an IPv4 address. An unknown code is kept as a number. */
export interface Socks4Reply {
  readonly code: number;
  readonly bound: Address;
}

/**
 * VN, CD, DSTPORT, DSTIP, USERID, NUL (SOCKS4), followed by the name and another NUL if DSTIP is 0.0.0.x
 * (SOCKS4A). Throws ERR_SOCKS_VERSION, ERR_SOCKS_USER_ID, ERR_SOCKS_NAME.
 */
export function decodeSocks4Request(bytes: Uint8Array): Decoded<Socks4Request> | undefined {
  checkVersion(bytes, VERSION);
  const userIdEnd = findNul(bytes, HEAD_SIZE, 'ERR_SOCKS_USER_ID');
  if (userIdEnd === undefined) return undefined;
  const command = bytes[1]!;
  const userId = decodeTextLeniently(bytes.subarray(HEAD_SIZE, userIdEnd));
  const destination = decodeIpv4(bytes);
  if (!announcesName(bytes)) return { value: { command, destination, userId }, size: userIdEnd + 1 };

  const nameEnd = findNul(bytes, userIdEnd + 1, 'ERR_SOCKS_NAME');
  if (nameEnd === undefined) return undefined;
  const host = decodeName(bytes.subarray(userIdEnd + 1, nameEnd));
  const named = { type: AddressType.name, host, port: destination.port };
  return { value: { command, destination: named, userId }, size: nameEnd + 1 };
}

/**
 * A name is sent as SOCKS4A. Throws a RangeError for an IPv6 address, for 0.0.0.x, and for a string that is
 * longer than 255 bytes or contains a NUL.
 */
export function encodeSocks4Request(request: Socks4Request): Uint8Array {
  const { command, destination } = request;
  const userId = encodeTerminated(request.userId, 'the user id');
  if (destination.type === AddressType.name) {
    const announced = { type: AddressType.ipv4, host: '0.0.0.1', port: destination.port };
    return concat(
      encodeHead(VERSION, command, announced),
      userId,
      encodeTerminated(destination.host, 'the name'),
    );
  }
  const head = encodeHead(VERSION, command, destination);
  if (announcesName(head)) throw new RangeError(`${destination.host} announces a name in SOCKS4A`);
  return concat(head, userId);
}

/** Version 0, CD, DSTPORT, DSTIP (SOCKS4); several servers send version 4. Throws ERR_SOCKS_VERSION. */
export function decodeSocks4Reply(bytes: Uint8Array): Decoded<Socks4Reply> | undefined {
  checkReplyVersion(bytes);
  if (bytes.length < HEAD_SIZE) return undefined;
  return { value: { code: bytes[1]!, bound: decodeIpv4(bytes) }, size: HEAD_SIZE };
}

/**
 * The version and CD of a refusal, without its address, which has no meaning; `undefined` when the request
 * was granted. Throws ERR_SOCKS_VERSION.
 */
export function decodeSocks4Refusal(bytes: Uint8Array): Decoded<number> | undefined {
  checkReplyVersion(bytes);
  return bytes.length < 2 || bytes[1] === Socks4Result.granted ? undefined : { value: bytes[1]!, size: 2 };
}

/** Throws a RangeError when `bound` is not an IPv4 address. */
export function encodeSocks4Reply(reply: Socks4Reply): Uint8Array {
  return encodeHead(REPLY_VERSION, reply.code, reply.bound);
}

function checkVersion(bytes: Uint8Array, version: number): void {
  if (bytes.length > 0 && bytes[0] !== version) {
    throw new WireError('ERR_SOCKS_VERSION', `version ${bytes[0]} where SOCKS4 has ${version}`);
  }
}

function checkReplyVersion(bytes: Uint8Array): void {
  if (bytes[0] !== VERSION) checkVersion(bytes, REPLY_VERSION);
}

/** True when DSTIP is 0.0.0.x with x other than 0. */
function announcesName(bytes: Uint8Array): boolean {
  return bytes[4] === 0 && bytes[5] === 0 && bytes[6] === 0 && bytes[7] !== 0;
}

/** The position of the NUL of a string that begins at `start`; `undefined` until it arrives. */
function findNul(bytes: Uint8Array, start: number, code: WireErrorCode): number | undefined {
  const end = bytes.indexOf(0, start);
  if ((end < 0 ? bytes.length : end) - start > TEXT_LIMIT) {
    throw new WireError(code, `more than ${TEXT_LIMIT} bytes without a NUL from byte ${start}`);
  }
  return end < 0 ? undefined : end;
}

function decodeIpv4(bytes: Uint8Array): Address {
  const port = (bytes[2]! << 8) | bytes[3]!;
  return { type: AddressType.ipv4, host: formatIp(ipFromBytes(bytes, 4, 4)), port };
}

function encodeHead(version: number, code: number, address: Address): Uint8Array {
  const ip = parseIp(address.host);
  if (ip?.family !== 4) throw new RangeError(`${address.host} is not an IPv4 address`);
  return concat([version, code], encodePort(address.port), ipBytes(ip));
}

function encodeTerminated(text: string, field: string): Uint8Array {
  if (text.includes('\0')) throw new RangeError(`${field} contains a NUL, which would end it`);
  return concat(encodeText(text, field), [0]);
}
