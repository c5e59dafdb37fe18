import { parseIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';

/** All addresses of one family from `first` to `last`, inclusive. */
export interface AddressRange {
  readonly first: Ip;
  readonly last: Ip;
}

/** Parses a CIDR or a single address. Host bits are dropped; `undefined` for anything else. */
export function parseAddressRange(text: string): AddressRange | undefined {
  const cidr = parseCidr(text);
  return cidr && rangeOf(cidr);
}

/** An address and the number of its leading bits that count. */
export interface Cidr {
  readonly ip: Ip;
  readonly size: number;
}

/** Parses `10.0.0.0/8` or `fc00::/7`; in a single address, all bits count. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const ip = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (ip === undefined) return undefined;
  const most = ip.family === 4 ? 32 : 128;
  if (slash < 0) return { ip, size: most };
  const size = text.slice(slash + 1);
  return /^(0|[1-9]\d{0,2})$/.test(size) && Number(size) <= most ? { ip, size: Number(size) } : undefined;
}

/** All addresses with the same prefix. */
export function rangeOf({ ip: { family, words }, size }: Cidr): AddressRange {
  const [a, b, c, d] = words;
  const fixed = family === 4 ? size + 96 : size;
  const first = (word: number, at: number): number => (word & mask(fixed - at)) >>> 0;
  const last = (word: number, at: number): number => (word | ~mask(fixed - at)) >>> 0;
  return {
    first: { family, words: [first(a, 0), first(b, 32), first(c, 64), first(d, 96)] },
    last: { family, words: [last(a, 0), last(b, 32), last(c, 64), last(d, 96)] },
  };
}

/**
 * A set of addresses whose look-up takes the same few steps for ten CIDRs as for 100,000: overlapping and
 * adjacent ranges are merged, and edges are found by their leading bits.
 */
export class AddressSet {
  readonly #ipv4: Edges;
  readonly #ipv6: Edges;
  readonly #inverted: boolean;

  private constructor(ranges: readonly AddressRange[], inverted: boolean) {
    this.#ipv4 = new Edges(ranges, 4);
    this.#ipv6 = new Edges(ranges, 6);
    this.#inverted = inverted;
  }

  /** The addresses in these ranges. */
  static of(ranges: readonly AddressRange[]): AddressSet {
    return new AddressSet(ranges, false);
  }

  /** Every address outside these ranges. */
  static except(ranges: readonly AddressRange[]): AddressSet {
    return new AddressSet(ranges, true);
  }

  has(ip: Ip): boolean {
    const isInRange = this.#edgesUpTo(ip) % 2 === 1;
    return isInRange !== this.#inverted;
  }

  /** True when the set contains the whole range. */
  covers({ first, last }: AddressRange): boolean {
    return this.has(first) && this.#edgesUpTo(first) === this.#edgesUpTo(last);
  }

  #edgesUpTo({ family, words }: Ip): number {
    return family === 4 ? this.#ipv4.upTo(words) : this.#ipv6.upTo(words);
  }
}

type Words = Ip['words'];

/**
 * The edges at which ranges of one family alternately begin and end, ascending: an address is in a range when
 * the number of edges at or below it is odd. A range up to the highest address has no end edge.
 */
class Edges {
  /** Words of an address: one for IPv4, four for IPv6. */
  readonly #width: 1 | 4;
  readonly #words: Uint32Array;
  /** The number of edges before those that begin with these leading bits; about as many buckets as edges. */
  readonly #before: Uint32Array;
  readonly #shift: number;

  constructor(ranges: readonly AddressRange[], family: 4 | 6) {
    const edges = merge(ranges.filter(({ first }) => first.family === family));
    this.#width = family === 4 ? 1 : 4;
    this.#words = Uint32Array.from(family === 4 ? edges.map((words) => words[3]) : edges.flat());
    const bits = Math.max(1, Math.ceil(Math.log2(edges.length)));
    this.#shift = 32 - bits;
    this.#before = new Uint32Array(2 ** bits + 1);
    for (let at = 0; at < this.#words.length; at += this.#width) {
      this.#before[(this.#words[at]! >>> this.#shift) + 1]!++;
    }
    for (let bucket = 1; bucket <= 2 ** bits; bucket++) this.#before[bucket]! += this.#before[bucket - 1]!;
  }

  /** The number of edges at or below an address. */
  upTo(words: Words): number {
    const bucket = words[4 - this.#width]! >>> this.#shift;
    let low = this.#before[bucket]!;
    let high = this.#before[bucket + 1]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#isAbove(middle, words)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #isAbove(edge: number, words: Words): boolean {
    const width = this.#width;
    for (let i = 0; i < width; i++) {
      const own = this.#words[edge * width + i]!;
      const word = words[4 - width + i]!;
      if (own !== word) return own > word;
    }
    return false;
  }
}

function merge(ranges: readonly AddressRange[]): Words[] {
  const ascending = ranges.toSorted((a, b) => compare(a.first.words, b.first.words));
  const edges: Words[] = [];
  for (let i = 0; i < ascending.length;) {
    edges.push(ascending[i]!.first.words);
    let end = following(ascending[i++]!.last);
    while (i < ascending.length && end !== undefined && compare(ascending[i]!.first.words, end) <= 0) {
      const next = following(ascending[i++]!.last);
      if (next === undefined || compare(next, end) > 0) end = next;
    }
    if (end === undefined) break;
    edges.push(end);
  }
  return edges;
}

/** The next address; `undefined` after the highest of its family. */
function following({ family, words }: Ip): Words | undefined {
  const next: [number, number, number, number] = [...words];
  for (let i = 3; i >= (family === 4 ? 3 : 0); i--) {
    next[i] = (next[i]! + 1) >>> 0;
    if (next[i] !== 0) return next;
  }
  return undefined;
}

function compare(a: Words, b: Words): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3];
}

/** A mask of the upper `bits` of a word: all from 32 on, none at 0 or below. */
function mask(bits: number): number {
  return bits <= 0 ? 0 : 0xffff_ffff << (32 - Math.min(bits, 32));
}
