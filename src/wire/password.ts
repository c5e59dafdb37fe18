import { concat, decodeText, encodeText } from './bytes.ts';
import type { Decoded } from './decoded.ts';
import { WireError } from './error.ts';

const VERSION = 1;

/**
 * A user's credentials (RFC 1929). Both are UTF-8, at most 255 bytes; empty ones are passed on to be
 * authenticated.
 */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** STATUS of RFC 1929 section 2: 0 is success, everything else a failure. */
export const PasswordStatus = { success: 0, failure: 1 } as const;
export type PasswordStatus = (typeof PasswordStatus)[keyof typeof PasswordStatus];

/**
 * VER, ULEN, UNAME, PLEN, PASSWD (RFC 1929 section 2).
 * Throws ERR_SOCKS_PASSWORD_VERSION, ERR_SOCKS_PASSWORD_ENCODING.
 */
export function decodeCredentials(bytes: Uint8Array): Decoded<Credentials> | undefined {
  if (bytes.length > 0 && bytes[0] !== VERSION) {
    throw new WireError('ERR_SOCKS_PASSWORD_VERSION', `version ${bytes[0]} where RFC 1929 has 1`);
  }
  if (bytes.length < 2) return undefined;
  const usernameEnd = 2 + bytes[1]!;
  if (bytes.length <= usernameEnd) return undefined;
  const size = usernameEnd + 1 + bytes[usernameEnd]!;
  if (bytes.length < size) return undefined;
  const username = decodeText(bytes.subarray(2, usernameEnd));
  const password = decodeText(bytes.subarray(usernameEnd + 1, size));
  if (username === undefined || password === undefined) {
    throw new WireError('ERR_SOCKS_PASSWORD_ENCODING', 'a user name or password that is not UTF-8');
  }
  return { value: { username, password }, size };
}

/** Throws a RangeError when one of them is longer than 255 bytes. */
export function encodeCredentials(credentials: Credentials): Uint8Array {
  const username = encodeText(credentials.username, 'the user name');
  const password = encodeText(credentials.password, 'the password');
  return concat([VERSION, username.length], username, [password.length], password);
}

/** VER, STATUS (RFC 1929 section 2). VER is ignored, as in curl: some servers send 5. */
export function decodePasswordStatus(bytes: Uint8Array): Decoded<number> | undefined {
  return bytes.length < 2 ? undefined : { value: bytes[1]!, size: 2 };
}

export function encodePasswordStatus(status: number): Uint8Array {
  return Uint8Array.of(VERSION, status);
}
