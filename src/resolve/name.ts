import { isNumericName, parseName } from '../policy/names.ts';
import { ipBytes, type Ip } from '../wire/ip.ts';

/**
 * A host name in the form in which it is queried and compared: lower case, ASCII, no trailing dot.
 * `undefined` if it is not a host name, or is a numeric address in an unusual spelling (127.1).
 */
export function canonicalName(text: string): string | undefined {
  const name = parseName(text);
  return name === undefined || isNumericName(name) ? undefined : name;
}

/** True for the name itself and for every name below it. */
export function isWithin(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}

/** The name of the PTR record of an address (RFC 1035 section 3.5, RFC 3596 section 2.5). */
export function reverseName(ip: Ip): string {
  const bytes = [...ipBytes(ip)].toReversed();
  if (ip.family === 4) return `${bytes.join('.')}.in-addr.arpa`;
  const nibbles = bytes.flatMap((byte) => [byte & 15, byte >>> 4]);
  return `${nibbles.map((nibble) => nibble.toString(16)).join('.')}.ip6.arpa`;
}
