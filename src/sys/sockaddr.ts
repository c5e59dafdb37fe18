import { formatIp, ipFromBytes, ipOf, needsZone, unmapped, writeIp, zoneOf } from '../wire/ip.ts';
import type { Endpoint } from '../wire/address.ts';
import { AF_INET, AF_INET6, AF_UNIX } from './constants.ts';
import { systemError } from './errors.ts';
import { nameOf, numberOf } from './interface-name.ts';
import { addressOf, bytes, int32, reserve } from './memory.ts';

/** Room for the longest address used here: struct sockaddr_un, 110 bytes. */
const SOCKADDR_SIZE = 128;
const SOCKADDR_IN = 16;
const SOCKADDR_IN6 = 28;
/** The offset of the interface index in a struct sockaddr_in6. */
const SCOPE = 24;
/** Bytes of a path, including the NUL. */
const PATH_LIMIT = 108;

/** A buffer for one address at a time, and one for its length. */
const sockaddr = reserve(SOCKADDR_SIZE);
export const SOCKADDR_OFFSET: number = sockaddr;
const length = reserve(4);
export const SOCKADDR: number = addressOf(sockaddr);
export const SOCKADDR_LENGTH: number = addressOf(length);

/** Call it before a system call that returns an address there. */
export function expectSockaddr(): void {
  int32[length >> 2] = SOCKADDR_SIZE;
}

/** The family of the address that a call has returned. */
export function familyOfSockaddr(): number {
  return bytes[sockaddr]! | (bytes[sockaddr + 1]! << 8);
}

/** The path that a call has returned. */
export function pathOfSockaddr(): string {
  const end = sockaddr + int32[length >> 2]!;
  const nul = bytes.indexOf(0, sockaddr + 2);
  return new TextDecoder().decode(bytes.slice(sockaddr + 2, Math.min(nul, end)));
}

/**
 * Stores a literal address for a call, at `at`; returns its length in bytes. The zone is included where the
 * address needs one.
 */
export function encodeSockaddr({ host, port }: Endpoint, at: number = sockaddr): number {
  const ip = ipOf(host);
  if (ip === undefined) throw systemError('EINVAL', 'bind', `${host}: not an IP address`);
  const size = ip.family === 4 ? SOCKADDR_IN : SOCKADDR_IN6;
  bytes.fill(0, at, at + size);
  bytes[at] = ip.family === 4 ? AF_INET : AF_INET6;
  bytes[at + 2] = port >> 8;
  bytes[at + 3] = port;
  writeIp(ip, bytes, at + (ip.family === 4 ? 4 : 8));
  const zone = needsZone(host) ? zoneOf(host) : undefined;
  if (zone !== undefined) int32[(at + SCOPE) >> 2] = scopeOf(zone);
  return size;
}

/** The same for a unix socket. */
export function encodePath(path: string): number {
  const encoded = new TextEncoder().encode(path);
  if (encoded.length >= PATH_LIMIT) throw systemError('ENAMETOOLONG', 'bind', path);
  bytes.fill(0, sockaddr, sockaddr + SOCKADDR_SIZE);
  bytes[sockaddr] = AF_UNIX;
  bytes.set(encoded, sockaddr + 2);
  return 2 + encoded.length + 1;
}

/**
 * Decodes the address that a call has returned, or one at another offset: an IPv4-mapped address as a dotted
 * quad, a link-local one with its zone.
 */
export function decodeSockaddr(at: number = sockaddr): Endpoint {
  const port = (bytes[at + 2]! << 8) | bytes[at + 3]!;
  if (bytes[at] === AF_INET) {
    return { host: dottedQuad(at + 4), port };
  }
  const host = formatIp(unmapped(ipFromBytes(bytes, at + 8, 6)));
  const scope = int32[(at + SCOPE) >> 2]!;
  return { host: scope !== 0 && needsZone(host) ? `${host}%${nameOf(scope)}` : host, port };
}

/** The texts of recent IPv4 addresses, indexed by a hash: most connections come from a few addresses. */
const TEXTS = 256;
const textWords = new Int32Array(TEXTS);
const texts: string[] = Array.from({ length: TEXTS }, () => '0.0.0.0');

function dottedQuad(at: number): string {
  const word = int32[at >> 2]!;
  const place = Math.imul(word, 0x9e37_79b1) >>> 24;
  if (textWords[place] !== word) {
    textWords[place] = word;
    texts[place] = `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  }
  return texts[place]!;
}

/**
 * The words of the address at an offset, to be stored elsewhere. A plain array takes a third of the memory of
 * a typed one.
 */
export function sockaddrWords(at: number): readonly number[] {
  const size = bytes[at] === AF_INET ? SOCKADDR_IN : SOCKADDR_IN6;
  return Array.from(int32.subarray(at >> 2, (at + size) >> 2));
}

/** Whether the address at an offset equals this one, ignoring the IPv6 flow label. */
export function isSockaddr(words: readonly number[], at: number): boolean {
  const i = at >> 2;
  if (words[0] !== int32[i]) return false;
  if (words.length === SOCKADDR_IN >> 2) return words[1] === int32[i + 1];
  return (
    words[2] === int32[i + 2] &&
    words[3] === int32[i + 3] &&
    words[4] === int32[i + 4] &&
    words[5] === int32[i + 5] &&
    words[6] === int32[i + 6]
  );
}

/** The index of the network interface that a zone names. */
function scopeOf(zone: string): number {
  const number = numberOf(zone) || Number(zone);
  if (number > 0) return number;
  throw systemError('EADDRNOTAVAIL', 'bind', `there is no interface ${zone}`);
}
