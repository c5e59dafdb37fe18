import { ipBytes, ipFromBytes } from '../../src/wire/ip.ts';
import type { Ip } from '../../src/wire/ip.ts';

/** An address as a number. */
export function numberOf(ip: Ip): bigint {
  return BigInt(`0x${Buffer.from(ipBytes(ip)).toString('hex')}`);
}

/** The number of bits in an address. */
export function sizeOf({ family }: Ip): number {
  return family === 4 ? 32 : 128;
}

/** The IPv4 address within ::ffff:0:0/96, otherwise the address itself. */
export function unmappedOf(ip: Ip): Ip {
  return digitsOf(ip).startsWith('00000000000000000000ffff') ? ipFromBytes(ipBytes(ip), 12, 4) : ip;
}

/** The IPv4 address that a destination leads to through NAT64 or 6to4. */
export function insideOf(ip: Ip): { readonly nat64?: Ip; readonly sixToFour?: Ip } {
  if (digitsOf(ip).startsWith('0064ff9b0000000000000000')) return { nat64: ipFromBytes(ipBytes(ip), 12, 4) };
  if (digitsOf(ip).startsWith('2002')) return { sixToFour: ipFromBytes(ipBytes(ip), 2, 4) };
  return {};
}

/** Hexadecimal digits; empty for IPv4. */
function digitsOf(ip: Ip): string {
  return ip.family === 4 ? '' : Buffer.from(ipBytes(ip)).toString('hex');
}
