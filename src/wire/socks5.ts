import { type Address, decodeAddress, encodeAddress } from './address.ts';
import { concat } from './bytes.ts';
import type { Decoded } from './decoded.ts';
import { WireError } from './error.ts';

const VERSION = 5;

/** METHOD: RFC 1928 section 3. */
export const Method = { none: 0x00, gssapi: 0x01, password: 0x02, noneAcceptable: 0xff } as const;
export type Method = (typeof Method)[keyof typeof Method];

/** CMD: RFC 1928 section 4, and Tor's two (socks-extensions.txt section 2). */
export const Command = {
  connect: 0x01,
  bind: 0x02,
  udpAssociate: 0x03,
  resolve: 0xf0,
  resolvePtr: 0xf1,
} as const;
export type Command = (typeof Command)[keyof typeof Command];

/** REP: RFC 1928 section 6. */
export const Reply = {
  succeeded: 0,
  generalFailure: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  connectionRefused: 5,
  ttlExpired: 6,
  commandNotSupported: 7,
  addressTypeNotSupported: 8,
} as const;
export type Reply = (typeof Reply)[keyof typeof Reply];

/** Maps an unknown code to a general failure. */
export function knownReply(code: number): Reply {
  return KNOWN.find((known) => known === code) ?? Reply.generalFailure;
}

const KNOWN: readonly Reply[] = Object.values(Reply);

/** The client's request (RFC 1928 section 4). An unknown command is kept as a number. */
export interface Socks5Request {
  readonly command: number;
  readonly destination: Address;
}

/** The server's reply (RFC 1928 section 6). An unknown code is kept as a number. */
export interface Socks5Reply {
  readonly code: number;
  readonly bound: Address;
}

/**
 * The methods offered by a client (RFC 1928 section 3): VER, NMETHODS, METHODS. Throws ERR_SOCKS_VERSION,
 * ERR_SOCKS_NO_METHODS.
 */
export function decodeGreeting(bytes: Uint8Array): Decoded<readonly number[]> | undefined {
  checkVersion(bytes);
  if (bytes.length < 2) return undefined;
  const size = 2 + bytes[1]!;
  if (size === 2) throw new WireError('ERR_SOCKS_NO_METHODS', 'a greeting that offers no method');
  if (bytes.length < size) return undefined;
  const methods: number[] = [];
  for (let i = 2; i < size; i++) methods.push(bytes[i]!);
  return { value: methods, size };
}

/** Throws a RangeError unless there are 1 to 255 methods. */
export function encodeGreeting(methods: readonly number[]): Uint8Array {
  if (methods.length < 1 || methods.length > 255) throw new RangeError(`${methods.length} methods`);
  return concat([VERSION, methods.length], methods);
}

/** The method chosen by the server (RFC 1928 section 3): VER, METHOD. Throws ERR_SOCKS_VERSION. */
export function decodeMethod(bytes: Uint8Array): Decoded<number> | undefined {
  checkVersion(bytes);
  return bytes.length < 2 ? undefined : { value: bytes[1]!, size: 2 };
}

export function encodeMethod(method: number): Uint8Array {
  return Uint8Array.of(VERSION, method);
}

/**
 * VER, CMD, RSV, ATYP, DST.ADDR, DST.PORT (RFC 1928 section 4). RSV is ignored. Throws ERR_SOCKS_VERSION,
 * ERR_SOCKS_ADDRESS_TYPE, ERR_SOCKS_NAME.
 */
export function decodeSocks5Request(bytes: Uint8Array): Decoded<Socks5Request> | undefined {
  checkVersion(bytes);
  const destination = decodeAddress(bytes, 3);
  if (destination === undefined) return undefined;
  return { value: { command: bytes[1]!, destination: destination.value }, size: 3 + destination.size };
}

/** Throws a RangeError when the destination cannot be encoded, see `encodeAddress`. */
export function encodeSocks5Request(request: Socks5Request): Uint8Array {
  return concat([VERSION, request.command, 0], encodeAddress(request.destination));
}

/**
 * VER, REP, RSV, ATYP, BND.ADDR, BND.PORT (RFC 1928 section 6). RSV is ignored. Throws ERR_SOCKS_VERSION,
 * ERR_SOCKS_ADDRESS_TYPE, ERR_SOCKS_NAME.
 */
export function decodeSocks5Reply(bytes: Uint8Array): Decoded<Socks5Reply> | undefined {
  checkVersion(bytes);
  const bound = decodeAddress(bytes, 3);
  if (bound === undefined) return undefined;
  return { value: { code: bytes[1]!, bound: bound.value }, size: 3 + bound.size };
}

/**
 * VER and REP of a refusal; `undefined` for success. The rest is ignored: many servers send no address after
 * it, or an invalid one. Throws ERR_SOCKS_VERSION.
 */
export function decodeSocks5Refusal(bytes: Uint8Array): Decoded<number> | undefined {
  checkVersion(bytes);
  return bytes.length < 2 || bytes[1] === Reply.succeeded ? undefined : { value: bytes[1]!, size: 2 };
}

/** Throws a RangeError when the bound address cannot be encoded, see `encodeAddress`. */
export function encodeSocks5Reply(reply: Socks5Reply): Uint8Array {
  return concat([VERSION, reply.code, 0], encodeAddress(reply.bound));
}

function checkVersion(bytes: Uint8Array): void {
  if (bytes.length > 0 && bytes[0] !== VERSION) {
    throw new WireError('ERR_SOCKS_VERSION', `version ${bytes[0]} where SOCKS has 5`);
  }
}
