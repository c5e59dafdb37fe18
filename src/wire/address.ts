import { concat, decodeText, encodeText } from './bytes.ts';
import type { Decoded } from './decoded.ts';
import { WireError } from './error.ts';
import { formatIp, ipFromBytes, ipOf, parseIp, withoutZone, writeIp } from './ip.ts';

/** The ATYP of RFC 1928 section 5. */
export const AddressType = { ipv4: 1, name: 3, ipv6: 4 } as const;
export type AddressType = (typeof AddressType)[keyof typeof AddressType];

/**
 * A host and port of a request, a reply or a UDP header. `host` is a dotted quad, an IPv6 literal in the form
 * of RFC 5952, or the name exactly as sent (UTF-8, 0 to 255 bytes). A literal sent as a name remains a name
 * here; the server checks again.
 */
export interface Address {
  readonly type: AddressType;
  readonly host: string;
  readonly port: number;
}

/** A host (literal or name) and a port. */
export type HostPort = Pick<Address, 'host' | 'port'>;

/**
 * A literal IP address in the form that `formatIp` returns, and a port. An IPv4 peer of a dual-stack socket
 * is a dotted quad. A link-local IPv6 address has a zone, the name of a network interface: `fe80::1%eth0`.
 * An address to bind can have a zone in any case (`192.0.2.1%wg0`): the socket then sends and receives on
 * that interface only, and fails with EADDRNOTAVAIL if there is none. Only the fast engine supports this, see
 * `Engine.deviceFault`.
 */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** 0.0.0.0:0, used where there is no address. */
export const UNSPECIFIED: Address = { type: AddressType.ipv4, host: '0.0.0.0', port: 0 };

/**
 * The address to send for a host as users and systems write it: a literal according to its family, anything
 * else as a name. The zone of an IPv6 literal (`fe80::1%eth0`) has no meaning on another machine, and is
 * dropped.
 */
export function addressOf(host: string, port: number): Address {
  const ip = parseIp(host.includes(':') ? withoutZone(host) : host);
  if (ip === undefined) return { type: AddressType.name, host, port };
  if (ip.family === 4) return { type: AddressType.ipv4, host, port };
  return { type: AddressType.ipv6, host: formatIp(ip), port };
}

/**
 * host:port, with an IPv6 address in brackets, and its zone if any. A name is written as sent, whatever it
 * contains.
 */
export function formatAddress({ host, port }: HostPort): string {
  // A name may contain colons as well.
  return host.includes(':') && ipOf(host) !== undefined ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * ATYP, ADDR and PORT (RFC 1928 sections 4 to 7) from `start`; nothing from `end` on is read. Throws
 * ERR_SOCKS_ADDRESS_TYPE, ERR_SOCKS_NAME.
 */
export function decodeAddress(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): Decoded<Address> | undefined {
  if (start >= end) return undefined;
  const type = addressTypeOf(bytes[start]!);
  const named = type === AddressType.name;
  if (named && end - start < 2) return undefined;
  const from = named ? start + 2 : start + 1;
  const to = from + (named ? bytes[start + 1]! : type === AddressType.ipv4 ? 4 : 16);
  if (to + 2 > end) return undefined;
  const host = named
    ? decodeName(bytes.subarray(from, to))
    : formatIp(ipFromBytes(bytes, from, type === AddressType.ipv4 ? 4 : 6));
  return { value: { type, host, port: (bytes[to]! << 8) | bytes[to + 1]! }, size: to + 2 - start };
}

/** ATYP, ADDR and PORT. Throws a RangeError when the host does not match its type, or is too long. */
export function encodeAddress(address: Address): Uint8Array {
  const port = encodePort(address.port);
  if (address.type === AddressType.name) {
    const name = encodeText(address.host, 'the name');
    return concat([address.type, name.length], name, port);
  }
  const family = address.type === AddressType.ipv4 ? 4 : 6;
  const ip = parseIp(address.host);
  if (ip?.family !== family) throw new RangeError(`${address.host} is not an IPv${family} address`);
  const bytes = new Uint8Array(family === 4 ? 7 : 19);
  bytes[0] = address.type;
  writeIp(ip, bytes, 1);
  bytes.set(port, bytes.length - 2);
  return bytes;
}

/** The two bytes of a port in network order. */
export function encodePort(port: number): [number, number] {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new RangeError(`${port} is not a port`);
  return [port >>> 8, port & 0xff];
}

/** Decodes the name in a request or reply. Throws ERR_SOCKS_NAME. */
export function decodeName(bytes: Uint8Array): string {
  const name = decodeText(bytes);
  if (name === undefined) throw new WireError('ERR_SOCKS_NAME', 'a name that is not UTF-8');
  return name;
}

function addressTypeOf(byte: number): AddressType {
  if (byte === AddressType.ipv4 || byte === AddressType.name || byte === AddressType.ipv6) return byte;
  throw new WireError('ERR_SOCKS_ADDRESS_TYPE', `address type ${byte}`);
}
