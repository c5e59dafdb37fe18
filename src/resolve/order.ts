import type { Ip } from '../wire/ip.ts';

/**
 * Sorts destination addresses by RFC 6724 section 6: rules 1, 2, 5, 6, 8, 9 (IPv6 only: for IPv4 it would
 * defeat a server's round robin) and 10, with the default policy table. The rules on deprecated, home and
 * tunnelled addresses need information that the kernel does not provide. `prefersIpv4`: IPv4 comes first where
 * it is usable.
 */
export function orderDestinations(
  ips: readonly Ip[],
  sourceOf: (ip: Ip) => Ip | undefined,
  prefersIpv4 = false,
): Ip[] {
  if (ips.length < 2) return [...ips];
  return ips
    .map((ip) => candidate(ip, sourceOf(ip)))
    .toSorted((a, b) => (prefersIpv4 ? compareFamilies(a, b) : 0) || compare(a, b))
    .map(({ ip }) => ip);
}

interface Candidate {
  readonly ip: Ip;
  readonly usable: boolean;
  readonly scope: number;
  readonly precedence: number;
  readonly sameScope: boolean;
  readonly sameLabel: boolean;
  /** Leading bits that an IPv6 address and its source address have in common. */
  readonly prefix: number;
}

function candidate(ip: Ip, source: Ip | undefined): Candidate {
  const { precedence, label } = policyOf(ip);
  const scope = scopeOf(ip);
  return {
    ip,
    usable: source !== undefined,
    scope,
    precedence,
    sameScope: source !== undefined && scopeOf(source) === scope,
    sameLabel: source !== undefined && policyOf(source).label === label,
    prefix: source !== undefined && ip.family === 6 ? commonPrefix(ip, source) : 0,
  };
}

/** Below 0 when `a` comes first, because it alone is a usable IPv4 address. */
function compareFamilies(a: Candidate, b: Candidate): number {
  return Number(b.usable && b.ip.family === 4) - Number(a.usable && a.ip.family === 4);
}

/** Below 0 when `a` comes first. Ties keep their order: the sort is stable. */
function compare(a: Candidate, b: Candidate): number {
  return (
    Number(b.usable) - Number(a.usable) ||
    Number(b.sameScope) - Number(a.sameScope) ||
    Number(b.sameLabel) - Number(a.sameLabel) ||
    b.precedence - a.precedence ||
    a.scope - b.scope ||
    b.prefix - a.prefix
  );
}

interface PolicyEntry {
  /** The words of the prefix, and masks for their significant bits. */
  readonly words: readonly number[];
  readonly masks: readonly number[];
  readonly precedence: number;
  readonly label: number;
}

/** RFC 6724 section 2.1, longest prefix first. */
const POLICY: readonly PolicyEntry[] = [
  entry([0, 0, 0, 1], 128, 50, 0), // ::1
  entry([0, 0, 0xffff], 96, 35, 4), // ::ffff:0:0/96, which is IPv4
  entry([0, 0, 0], 96, 1, 3), // ::/96
  entry([0x2001_0000], 32, 5, 5), // 2001::/32
  entry([0x2002_0000], 16, 30, 2), // 2002::/16
  entry([0x3ffe_0000], 16, 1, 12), // 3ffe::/16
  entry([0xfec0_0000], 10, 1, 11), // fec0::/10
  entry([0xfc00_0000], 7, 3, 13), // fc00::/7
  entry([], 0, 40, 1), // ::/0
];

function entry(words: readonly number[], bits: number, precedence: number, label: number): PolicyEntry {
  const masks = words.map((_, i) =>
    bits >= 32 * (i + 1) ? 0xffff_ffff : (0xffff_ffff << (32 * (i + 1) - bits)) >>> 0,
  );
  return { words, masks, precedence, label };
}

function policyOf(ip: Ip): PolicyEntry {
  const words = ip.family === 6 ? ip.words : [0, 0, 0xffff, ip.words[3]];
  return POLICY.find((one) => one.words.every((word, i) => (words[i]! & one.masks[i]!) >>> 0 === word))!;
}

const Scope = { linkLocal: 0x2, siteLocal: 0x5, global: 0xe } as const;

/**
 * The scope, as a multicast scope value (RFC 4291 section 2.7); for unicast, see RFC 6724 sections 3.1 and
 * 3.2.
 */
function scopeOf(ip: Ip): number {
  const [first, , third, last] = ip.words;
  const mapped = ip.family === 6 && first === 0 && ip.words[1] === 0 && third === 0xffff;
  if (ip.family === 4 || mapped) {
    return last >>> 24 === 127 || last >>> 16 === 0xa9fe ? Scope.linkLocal : Scope.global;
  }
  if (first >>> 24 === 0xff) return (first >>> 16) & 0xf;
  if (first >>> 22 === 0xfe80 >>> 6) return Scope.linkLocal;
  if (first >>> 22 === 0xfec0 >>> 6) return Scope.siteLocal;
  const loopback = first === 0 && ip.words[1] === 0 && third === 0 && last === 1;
  return loopback ? Scope.linkLocal : Scope.global;
}

/** CommonPrefixLen of RFC 6724 section 2.2, assuming the usual /64 source prefix. */
function commonPrefix(a: Ip, b: Ip): number {
  if (a.family !== b.family) return 0;
  const first = Math.clz32(a.words[0] ^ b.words[0]);
  return first < 32 ? first : 32 + Math.clz32(a.words[1] ^ b.words[1]);
}
