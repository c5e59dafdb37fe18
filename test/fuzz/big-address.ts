import { ipBytes, ipFromBytes } from '../../src/wire/ip.ts';
import type { Ip } from '../../src/wire/ip.ts';

/** An address as one number. */
export function numberOf(ip: Ip): bigint {
  return BigInt(`0x${Buffer.from(ipBytes(ip)).toString('hex')}`);
}

/** The bits of its family. */
export function sizeOf({ family }: Ip): number {
  return family === 4 ? 32 : 128;
}

/** The address that is judged in its place: the IPv4 address inside, where there is one. */
export function judgedOf(ip: Ip): Ip {
  const bytes = ipBytes(ip);
  const digits = Buffer.from(bytes).toString('hex');
  if (ip.family === 4) return ip;
  if (digits.startsWith('00000000000000000000ffff')) return ipFromBytes(bytes, 12, 4);
  if (digits.startsWith('0064ff9b0000000000000000')) return ipFromBytes(bytes, 12, 4);
  if (digits.startsWith('2002')) return ipFromBytes(bytes, 2, 4);
  return ip;
}
