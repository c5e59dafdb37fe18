import { embeddedIpv4, ipBytes, ipFromBytes } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { AddressSet, parseCidr, rangeOf } from './addresses.ts';
import type { Cidr } from './addresses.ts';

/** The prefix lengths of NAT64 (RFC 6052 section 2.2). */
const SIZES: readonly number[] = [32, 40, 48, 56, 64, 96];
/** The byte that is always 0 (RFC 6052 section 2.2): the IPv4 address is split around it. */
const GAP = 8;

/** The prefixes of NAT64 translators, as listed under `nat64`. */
export class Nat64 {
  readonly #prefixes: readonly { readonly addresses: AddressSet; readonly size: number }[];

  /** Throws a TypeError for an invalid prefix; config/ has already reported it. */
  constructor(texts: readonly string[] = []) {
    this.#prefixes = texts.map((text) => {
      const cidr = parseNat64(text);
      if (cidr === undefined) throw new TypeError(`nat64: ${text} is not a NAT64 prefix`);
      return { addresses: AddressSet.of([rangeOf(cidr)]), size: cidr.size };
    });
  }

  /** The IPv4 address that an address in one of the prefixes is translated to. */
  translate(ip: Ip): Ip | undefined {
    if (ip.family === 4) return undefined;
    const prefix = this.#prefixes.find(({ addresses }) => addresses.has(ip));
    if (prefix === undefined) return undefined;
    const bytes = ipBytes(ip);
    const start = prefix.size / 8;
    const inside = Uint8Array.from({ length: 4 }, (_, i) => {
      const at = start + i;
      return bytes[start <= GAP && at >= GAP ? at + 1 : at]!;
    });
    return ipFromBytes(inside, 0, 4);
  }
}

/** Parses a NAT64 prefix; `undefined` if invalid. `nat64Remedy` explains why. */
export function parseNat64(text: string): Cidr | undefined {
  return nat64Remedy(text) === undefined ? parseCidr(text) : undefined;
}

/** What to write instead of an invalid NAT64 prefix; `undefined` for a valid one. */
export function nat64Remedy(text: string): string | undefined {
  const cidr = parseCidr(text);
  if (cidr === undefined || cidr.ip.family === 4 || !text.includes('/'))
    return 'write an IPv6 prefix, such as 64:ff9b::/96';
  const { ip, size } = cidr;
  if (!SIZES.includes(size)) return `write one of ${SIZES.map((one) => `/${one}`).join(', ')} (RFC 6052)`;
  const { first } = rangeOf(cidr);
  if (first.words.some((word, i) => word !== ip.words[i])) return `clear the bits after the first ${size}`;
  if (ip.words[2] >>> 24 !== 0)
    return 'bits 64 to 71 of such a prefix are 0 (RFC 6052): check the prefix of your NAT64';
  if (ip.words[0] === 0) return '::/32 includes loopback and mapped IPv4: write the prefix of your NAT64';
  const isWellKnown = ip.words[0] === 0x64_ff9b && ip.words[1] === 0;
  // A prefix that overlaps the well-known one or 6to4 would make the IPv4 address ambiguous.
  if (isWellKnown && (ip.words[2] !== 0 || size !== 96)) return 'write 64:ff9b::/96';
  if (!isWellKnown && embeddedIpv4(ip) !== undefined) return '2002::/16 is 6to4, not NAT64: remove it';
  return undefined;
}
