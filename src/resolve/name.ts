import { ipBytes, type Ip } from '../wire/ip.ts';

const HOST_NAME = /^(?:[a-z0-9_-]{1,63}\.)*(?!\d+$)[a-z0-9_-]{1,63}$/i;

/**
 * A host name as it is asked for and compared: lower case, no trailing dot. `undefined` for what is none: an empty label
 * or one above 63 bytes, more than 253 bytes in all, any byte but letters, digits, hyphen and underscore, and a last label
 * of digits alone, which is some program's spelling of an address (127.1).
 */
export function canonicalName(text: string): string | undefined {
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  return name.length <= 253 && HOST_NAME.test(name) ? name.toLowerCase() : undefined;
}

/** True for the name itself and for every name below it. */
export function isWithin(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}

/** The name that holds the PTR record of an address (RFC 1035 section 3.5, RFC 3596 section 2.5). */
export function reverseName(ip: Ip): string {
  const bytes = [...ipBytes(ip)].toReversed();
  if (ip.family === 4) return `${bytes.join('.')}.in-addr.arpa`;
  const nibbles = bytes.flatMap((byte) => [byte & 15, byte >>> 4]);
  return `${nibbles.map((nibble) => nibble.toString(16)).join('.')}.ip6.arpa`;
}
