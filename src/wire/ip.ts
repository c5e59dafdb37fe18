/**
 * An IP address as four 32-bit words, so that rules compare numbers and never text. An IPv4 address is in the
 * last word and the others are 0; `family` distinguishes the two.
 */
export interface Ip {
  readonly family: 4 | 6;
  /** Unsigned 32-bit words in network order. */
  readonly words: readonly [number, number, number, number];
}

/**
 * Parses a dotted quad or an IPv6 literal (RFC 4291 section 2.2, no zone, no brackets); `undefined` for
 * anything else.
 */
export function parseIp(text: string): Ip | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** Parses a literal that may have a zone: fe80::1 for fe80::1%eth0. */
export function ipOf(host: string): Ip | undefined {
  return parseIp(withoutZone(host));
}

/** A literal address without its zone. */
export function withoutZone(host: string): string {
  const percent = host.indexOf('%');
  return percent < 0 ? host : host.slice(0, percent);
}

/** The zone of a literal address: `eth0` of fe80::1%eth0. */
export function zoneOf(host: string): string | undefined {
  const percent = host.indexOf('%');
  return percent < 0 ? undefined : host.slice(percent + 1);
}

/** A literal address with this zone, unless it already has one. */
export function withZone(host: string, zone: string | undefined): string {
  return zone === undefined || host.includes('%') ? host : `${host}%${zone}`;
}

/** The dotted quad, or the canonical IPv6 text of RFC 5952. */
export function formatIp(ip: Ip): string {
  return ip.family === 4 ? formatIpv4(ip.words[3]) : formatIpv6(ip);
}

/** Whether a host is the unspecified address: any local address, for a listener. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** The unspecified address of a family. */
export function unspecified(family: 4 | 6): string {
  return family === 4 ? '0.0.0.0' : '::';
}

/** The family of a literal address. */
export function familyOf(host: string): 4 | 6 {
  return host.includes(':') ? 6 : 4;
}

/** Whether a literal address is loopback. */
export function isLoopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.');
}

/** Whether a literal address is only valid on one link. */
export function isLinkLocal(host: string): boolean {
  return host.startsWith('169.254.') || /^fe[89ab][0-9a-f]:/i.test(host);
}

/** Whether a literal IPv6 address needs a zone to identify its link. */
export function needsZone(host: string): boolean {
  return host.includes(':') && isLinkLocal(host);
}

/** A literal address as reached from a local one: a link-local one is on the same link. */
export function seenFrom(local: string, host: string): string {
  return needsZone(host) ? withZone(host, zoneOf(local)) : host;
}

/** True when both are the same address of the same family. */
export function sameIp(a: Ip, b: Ip): boolean {
  return (
    a.family === b.family &&
    a.words[3] === b.words[3] &&
    a.words[2] === b.words[2] &&
    a.words[1] === b.words[1] &&
    a.words[0] === b.words[0]
  );
}

/** The 4 or 16 bytes of an address. */
export function ipBytes(ip: Ip): Uint8Array {
  const bytes = new Uint8Array(ip.family === 4 ? 4 : 16);
  writeIp(ip, bytes, 0);
  return bytes;
}

/** Writes the 4 or 16 bytes of an address at `offset`. */
export function writeIp(ip: Ip, bytes: Uint8Array, offset: number): void {
  let at = offset;
  for (let i = ip.family === 4 ? 3 : 0; i < 4; i++) {
    const word = ip.words[i]!;
    bytes[at++] = word >>> 24;
    bytes[at++] = word >>> 16;
    bytes[at++] = word >>> 8;
    bytes[at++] = word;
  }
}

/** The address in the 4 or 16 bytes at `offset`. */
export function ipFromBytes(bytes: Uint8Array, offset: number, family: 4 | 6): Ip {
  const word = (at: number): number =>
    ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  if (family === 4) return { family, words: [0, 0, 0, word(offset)] };
  return { family, words: [word(offset), word(offset + 4), word(offset + 8), word(offset + 12)] };
}

/**
 * The IPv4 address within ::ffff:0:0/96, the form in which IPv6 sockets report IPv4 (RFC 4291 section
 * 2.5.5.2); otherwise the address itself.
 */
export function unmapped(ip: Ip): Ip {
  if (ip.family === 4) return ip;
  const [a, b, c, d] = ip.words;
  return ip.family === 6 && a === 0 && b === 0 && c === 0xffff ? { family: 4, words: [0, 0, 0, d] } : ip;
}

/**
 * The IPv4 address that a destination in 64:ff9b::/96 (NAT64, RFC 6052) or 2002::/16 (6to4, RFC 3056) leads
 * to. Not valid for sources: a router advertisement is enough to obtain such an address.
 */
export function embeddedIpv4({ family, words: [a, b, c, d] }: Ip): Ip | undefined {
  if (family === 4) return undefined;
  if (a === 0x64_ff9b && b === 0 && c === 0) return { family: 4, words: [0, 0, 0, d] };
  if (a >>> 16 === 0x2002) return { family: 4, words: [0, 0, 0, ((a << 16) | (b >>> 16)) >>> 0] };
  return undefined;
}

function parseIpv4(text: string): Ip | undefined {
  let value = 0;
  let part = -1;
  let parts = 0;
  for (let i = 0; i <= text.length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : 0x2e;
    if (code === 0x2e) {
      if (part < 0 || part > 255) return undefined;
      value = value * 256 + part;
      part = -1;
      parts++;
    } else {
      // Some programs treat a leading zero as octal, so it is rejected.
      if (code < 0x30 || code > 0x39 || part === 0 || part > 255) return undefined;
      part = (part < 0 ? 0 : part) * 10 + code - 0x30;
    }
  }
  return parts === 4 ? { family: 4, words: [0, 0, 0, value] } : undefined;
}

function parseIpv6(text: string): Ip | undefined {
  let groups = text;
  const dot = text.indexOf('.');
  if (dot >= 0) {
    const colon = text.lastIndexOf(':');
    const v4 = parseIpv4(text.slice(colon + 1));
    if (v4 === undefined) return undefined;
    const value = v4.words[3];
    groups = `${text.slice(0, colon + 1)}${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
  }
  const halves = groups.split('::');
  if (halves.length > 2) return undefined;
  const head = halves[0] === '' ? [] : halves[0]!.split(':');
  const tail = halves.length === 1 || halves[1] === '' ? [] : halves[1]!.split(':');
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const all = [...head, ...Array.from({ length: missing }, () => '0'), ...tail];
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  const word = (i: number): number => (parseInt(all[i]!, 16) * 65536 + parseInt(all[i + 1]!, 16)) >>> 0;
  return { family: 6, words: [word(0), word(2), word(4), word(6)] };
}

function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

function formatIpv6(ip: Ip): string {
  const [a, b, c, d] = ip.words;
  if (a === 0 && b === 0 && c === 0xffff) return `::ffff:${formatIpv4(d)}`;
  const groups = ip.words.flatMap((word) => [word >>> 16, word & 0xffff]);
  let best = 0;
  let bestLength = 0;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > bestLength && end - i > 1) [best, bestLength] = [i, end - i];
    i = Math.max(i, end - 1);
  }
  const hex = groups.map((group) => group.toString(16));
  if (bestLength === 0) return hex.join(':');
  return `${hex.slice(0, best).join(':')}::${hex.slice(best + bestLength).join(':')}`;
}
