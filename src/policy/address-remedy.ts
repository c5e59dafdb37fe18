import { formatIp, parseIp, sameIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { parseCidr, rangeOf } from './addresses.ts';

/**
 * What to write instead of addresses in a notation that rules do not have: a mask, a range, a wildcard, too
 * long a prefix, or too few numbers. `undefined` for other text.
 */
export function addressRemedy(text: string): string | undefined {
  return (
    remedyForMask(text) ??
    remedyForRange(text) ??
    remedyForPrefix(text) ??
    remedyForWildcard(text) ??
    remedyForShort(text)
  );
}

/** `10.0.0.1-9`, which would otherwise be a valid host name. */
export function isShortRange(text: string): boolean {
  return SHORT_RANGE.test(text);
}

const SHORT_RANGE = /^(\d+\.\d+\.\d+\.)\d+-(\d+)$/;

/** `10.0.0.0/255.255.255.0`; also with a space instead of the slash, or with the inverted mask. */
function remedyForMask(text: string): string | undefined {
  const [, written = '', dotted = ''] = /^(\S+?)(?:\/| +)(\d[\d.]+)$/.exec(text) ?? [];
  const [ip, mask] = [parseIp(written), parseIp(dotted)];
  if (ip?.family !== 4 || mask?.family !== 4) return undefined;
  const bits = mask.words[3];
  const isInverted = bits !== 0 && bits >>> 31 === 0;
  const size = Math.clz32(isInverted ? bits : ~bits);
  const { first, last } = rangeOf({ ip, size });
  // The host bits of the mask's own network are all that it may leave open.
  const open = (last.words[3] ^ first.words[3]) >>> 0;
  if ((isInverted ? bits : ~bits >>> 0) !== open)
    return 'write networks such as 10.0.0.0/24: this mask is not a prefix';
  const network = `${formatIp(first)}/${size}`;
  if (sameIp(first, ip)) return `write ${network}`;
  return `write ${network} for the network, or ${formatIp(ip)} for the one address`;
}

const SHOWN = 8;

/** `10.0.0.1-10.0.0.9`, or `10.0.0.1-9`. */
function remedyForRange(text: string): string | undefined {
  const [, prefix, end] = SHORT_RANGE.exec(text) ?? [];
  const [from = '', to = '', ...more] = text.split('-').map((part) => part.trim());
  const [a, b] = [parseIp(from), parseIp(end === undefined ? to : `${prefix}${end}`)];
  if (more.length > 0 || a === undefined || b === undefined || a.family !== b.family) return undefined;
  const networks = networksBetween(a, b);
  const shown = networks.slice(0, SHOWN).join(', ');
  return `write the networks in it: ${shown}${networks.length > SHOWN ? ', …' : ''}`;
}

/** `10.0.0.0/33`. */
function remedyForPrefix(text: string): string | undefined {
  const [, written = '', size] = /^([^/]+)\/(\d+)$/.exec(text) ?? [];
  const ip = parseIp(written);
  if (ip === undefined || size === undefined || parseCidr(text) !== undefined) return undefined;
  const most = ip.family === 4 ? 32 : 128;
  return `write a prefix from /0 to /${most}, or ${formatIp(ip)} for the one address`;
}

/** `10.0.*.*`. */
function remedyForWildcard(text: string): string | undefined {
  const [numbers] = /^\d+(\.\d+){0,2}(?=(\.\*)+$)/.exec(text) ?? [];
  if (numbers === undefined) return undefined;
  const size = numbers.split('.').length * 8;
  const ip = parseIp(padded(numbers));
  return ip && `write ${formatIp(ip)}/${size}`;
}

/** `10.0/16`, or `127.1`. */
function remedyForShort(text: string): string | undefined {
  const [, numbers, size] = /^(\d+(?:\.\d+){0,2})(\/\d+)?$/.exec(text) ?? [];
  if (numbers === undefined) return undefined;
  return size === undefined || parseCidr(`${padded(numbers)}${size}`) === undefined
    ? 'write an address with all four of its numbers, such as 10.0.0.1'
    : `write ${padded(numbers)}${size}`;
}

function padded(numbers: string): string {
  return [...numbers.split('.'), '0', '0', '0'].slice(0, 4).join('.');
}

/** The fewest networks that make up the range between two addresses, in order. */
function networksBetween(a: Ip, b: Ip): string[] {
  const [one, other] = [numberOf(a), numberOf(b)];
  const [first, last] = one < other ? [one, other] : [other, one];
  const width = a.family === 4 ? 32 : 128;
  const networks: string[] = [];
  for (let at = first; at <= last;) {
    let size = width;
    const block = (): bigint => 1n << BigInt(width - size + 1);
    while (size > 0 && at % block() === 0n && at + block() - 1n <= last) size--;
    const address = formatIp(ipOf(a.family, at));
    networks.push(size === width ? address : `${address}/${size}`);
    at += 1n << BigInt(width - size);
  }
  return networks;
}

function numberOf({ words }: Ip): bigint {
  return words.reduce((number, word) => (number << 32n) | BigInt(word), 0n);
}

function ipOf(family: Ip['family'], number: bigint): Ip {
  const word = (shift: bigint): number => Number((number >> shift) & 0xffff_ffffn);
  return { family, words: [word(96n), word(64n), word(32n), word(0n)] };
}
