import { encodePort } from './address.ts';
import type { HostPort } from './address.ts';
import type { Decoded } from './decoded.ts';
import { WireError } from './error.ts';
import { concat } from './bytes.ts';
import { formatIp, ipBytes, ipFromBytes, ipOf, parseIp } from './ip.ts';
import type { Ip } from './ip.ts';

/** The client that a load balancer forwards for (PROXY protocol, versions 1 and 2). */
export interface ProxyHeader {
  /**
   * The client's address, and the one it connected to; absent when the balancer connects for itself, or uses
   * an unsupported family.
   */
  readonly addresses?: ProxyAddresses;
}

export interface ProxyAddresses {
  readonly source: HostPort;
  readonly destination: HostPort;
}

export type ProxyHeaderVersion = 'v1' | 'v2';

/** The longest line of version 1, including CR LF (section 2.1). */
const LINE_LIMIT = 107;
const LINE_START = bytesOf('PROXY ');
const SIGNATURE = bytesOf('\r\n\r\n\0\r\nQUIT\n');
/** Signature, version and command, family and transport, length (section 2.2). */
const HEAD_SIZE = 16;

const Command = { local: 0, proxy: 1 } as const;
/** AF_INET or AF_INET6 in the high half, STREAM in the low one. */
const Family = { tcp4: 0x11, tcp6: 0x21 } as const;

/**
 * Decodes the header of either version at the start of a connection; at most 65,551 bytes. Unknown and
 * non-TCP headers (UNKNOWN, LOCAL, unix sockets, datagrams) have no addresses; TLVs after the addresses are
 * skipped. Throws ERR_SOCKS_PROXY_HEADER.
 */
export function decodeProxyHeader(bytes: Uint8Array): Decoded<ProxyHeader> | undefined {
  if (beginsLike(bytes, SIGNATURE)) return decodeBinary(bytes);
  if (beginsLike(bytes, LINE_START)) return decodeLine(bytes);
  throw fault('no PROXY header');
}

/**
 * Encodes a header. Without addresses the connection is made on the sender's own behalf (UNKNOWN, LOCAL). Zones
 * are left out; addresses of different families are both sent as IPv6.
 */
export function encodeProxyHeader(version: ProxyHeaderVersion, { addresses }: ProxyHeader): Uint8Array {
  if (addresses === undefined)
    return version === 'v1' ? bytesOf('PROXY UNKNOWN\r\n') : binary(Command.local, 0, new Uint8Array());
  const { source, destination } = addresses;
  const [from, to] = ofOneFamily(ipOf(source.host)!, ipOf(destination.host)!);
  const { family } = from;
  if (version === 'v1') {
    const places = [formatIp(from), formatIp(to), source.port, destination.port];
    return bytesOf(`PROXY TCP${family} ${places.join(' ')}\r\n`);
  }
  const ports = [...encodePort(source.port), ...encodePort(destination.port)];
  return binary(
    Command.proxy,
    family === 4 ? Family.tcp4 : Family.tcp6,
    concat(ipBytes(from), ipBytes(to), ports),
  );
}

function binary(command: number, family: number, addresses: Uint8Array): Uint8Array {
  return concat(SIGNATURE, [0x20 | command, family], encodePort(addresses.length), addresses);
}

function ofOneFamily(a: Ip, b: Ip): readonly [Ip, Ip] {
  return a.family === b.family ? [a, b] : [mapped(a), mapped(b)];
}

/** ::ffff:0:0/96 for an IPv4 address. */
function mapped(ip: Ip): Ip {
  return ip.family === 4 ? ipOf(`::ffff:${formatIp(ip)}`)! : ip;
}

/** `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443` CR LF (section 2.1). */
function decodeLine(bytes: Uint8Array): Decoded<ProxyHeader> | undefined {
  const end = bytes.indexOf(0x0a);
  if ((end < 0 ? bytes.length : end + 1) > LINE_LIMIT) throw fault(`a line of more than ${LINE_LIMIT} bytes`);
  if (end < 0) return undefined;
  const line = String.fromCharCode(...bytes.subarray(0, end + 1));
  const size = end + 1;
  if (/^PROXY UNKNOWN( [^\r\n]*)?\r\n$/.test(line)) return { value: {}, size };
  const [, family, from, to, fromPort, toPort] =
    /^PROXY TCP([46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n$/.exec(line) ?? [];
  const source = endpointOf(from, fromPort, family);
  const destination = endpointOf(to, toPort, family);
  if (source === undefined || destination === undefined) throw fault('a malformed line');
  return { value: { addresses: { source, destination } }, size };
}

function endpointOf(
  host: string | undefined,
  port: string | undefined,
  family: string | undefined,
): HostPort | undefined {
  const ip = parseIp(host ?? '');
  if (ip === undefined || ip.family !== Number(family) || Number(port) > 65_535) return undefined;
  return { host: formatIp(ip), port: Number(port) };
}

/** Signature, version and command, family, length, addresses, TLVs (section 2.2). */
function decodeBinary(bytes: Uint8Array): Decoded<ProxyHeader> | undefined {
  const versionAndCommand = bytes[12];
  if (versionAndCommand === undefined) return undefined;
  const command = versionAndCommand & 15;
  if (versionAndCommand >> 4 !== 2 || command > Command.proxy)
    throw fault(`version and command ${versionAndCommand}`);
  if (bytes.length < HEAD_SIZE) return undefined;
  const family = bytes[13]!;
  const length = (bytes[14]! << 8) | bytes[15]!;
  const width = family === Family.tcp4 ? 4 : 16;
  const isTcp = family === Family.tcp4 || family === Family.tcp6;
  const carries = command === Command.proxy && isTcp;
  if (carries && length < 2 * width + 4) throw fault(`${length} bytes of addresses`);
  const size = HEAD_SIZE + length;
  if (bytes.length < size) return undefined;
  if (!carries) return { value: {}, size };
  const endpoint = (i: 0 | 1): HostPort => {
    const portAt = HEAD_SIZE + 2 * width + 2 * i;
    const ip = ipFromBytes(bytes, HEAD_SIZE + i * width, width === 4 ? 4 : 6);
    return { host: formatIp(ip), port: (bytes[portAt]! << 8) | bytes[portAt + 1]! };
  };
  return { value: { addresses: { source: endpoint(0), destination: endpoint(1) } }, size };
}

/** True when one of them is a prefix of the other. */
function beginsLike(bytes: Uint8Array, beginning: Uint8Array): boolean {
  const size = Math.min(bytes.length, beginning.length);
  for (let i = 0; i < size; i++) if (bytes[i] !== beginning[i]) return false;
  return true;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function fault(message: string): WireError {
  return new WireError('ERR_SOCKS_PROXY_HEADER', message);
}
