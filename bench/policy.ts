/**
 * Measures the cost of a decision, and that it is the same for ten networks or names in a rule as for
 * 100,000: `node bench/policy.ts`. A deny rule with the list precedes a rule that allows the rest; every
 * other question matches the list. The ratio is relative to ten entries of the same kind.
 */
import { compile } from '../src/policy/compile.ts';
import { decide } from '../src/policy/decide.ts';
import type { Destination, Facts, RuleOptions, LocalAddresses } from '../src/policy/policy.ts';
import { formatIp, parseIp } from '../src/wire/ip.ts';
import type { Ip } from '../src/wire/ip.ts';

/** Returns the i-th entry of a list, a destination that matches it, and one that matches no entry. */
interface Kind {
  readonly name: string;
  readonly entry: (i: number) => string;
  readonly listed: (i: number) => Destination;
  readonly other: (i: number) => Destination;
}

const KINDS: readonly Kind[] = [
  {
    name: 'IPv4 CIDRs',
    entry: (i) => `${formatIp(ipv4(i, 0))}/24`,
    listed: (i) => literal(ipv4(i, 7)),
    other: (i) => literal(ipv4(i, 256 + 7)),
  },
  {
    name: 'IPv6 CIDRs',
    entry: (i) => `${formatIp(ipv6(i, 0, 0))}/48`,
    listed: (i) => literal(ipv6(i, 0, 7)),
    other: (i) => literal(ipv6(i, 0x1_0000, 7)),
  },
  {
    name: 'names',
    entry: (i) => `${host(i)}.example.com`,
    listed: (i) => named(`${host(i)}.example.com`),
    other: (i) => named(`${host(i)}.example.net`),
  },
  {
    name: 'suffixes',
    entry: (i) => `.${host(i)}.example.com`,
    listed: (i) => named(`www.${host(i)}.example.com`),
    other: (i) => named(`www.${host(i)}.example.net`),
  },
];

const SIZES = [10, 1000, 100_000];
const QUESTIONS = 2048;
const ROUNDS = 100;
const FACTS: Facts = {
  listener: 'office',
  client: parseIp('10.0.0.5')!,
  sourcePort: 50_000,
  protocol: 'socks5',
  method: 'none',
  groups: [],
  command: 'connect',
  time: 0,
};
const NOWHERE: LocalAddresses = { isSelf: () => false, isOwnPort: () => false };

console.log('entries in the list       to compile  a decision   ratio');
for (const kind of KINDS) {
  const rows = SIZES.map((size) => ({ size, ...measure(kind, size) }));
  for (const { size, compiled, decided } of rows) {
    const ratio = (decided / rows[0]!.decided).toFixed(2);
    console.log(
      `${`${size}`.padStart(7)} ${kind.name.padEnd(16)}${compiled.toFixed(1).padStart(9)} ms${decided.toFixed(0).padStart(9)} ns${ratio.padStart(8)}`,
    );
  }
}

/** Milliseconds to compile the rules; nanoseconds per decision, the median of the rounds. */
function measure(kind: Kind, size: number): { compiled: number; decided: number } {
  const list = Array.from({ length: size }, (_, i) => kind.entry(i));
  const start = performance.now();
  const policy = compile({ rules: [rule('deny', list), rule('allow', ['any'])] });
  const compiled = performance.now() - start;
  const destinations = Array.from({ length: QUESTIONS }, (_, i) => {
    const asked = mixed(i) % size;
    return i % 2 === 0 ? kind.listed(asked) : kind.other(asked);
  });
  const times = Array.from({ length: ROUNDS }, () => {
    const from = performance.now();
    let refused = 0;
    for (const destination of destinations) {
      if (decide(policy, FACTS, destination, 'passed-on', NOWHERE).type === 'refuse') refused++;
    }
    if (refused !== QUESTIONS / 2) throw new Error(`${kind.name}: ${refused} of ${QUESTIONS} refused`);
    return ((performance.now() - from) * 1e6) / QUESTIONS;
  });
  return { compiled, decided: times.toSorted((a, b) => a - b)[ROUNDS / 2]! };
}

function rule(action: RuleOptions['action'], to: readonly string[]): RuleOptions {
  return { name: action, action, to, log: [], revoke: 'close' };
}

/** An address in one /23 of 1.0.0.0 to 126.255.255.255; every other /24 is never listed. */
function ipv4(i: number, offset: number): Ip {
  return { family: 4, words: [0, 0, 0, 0x100_0000 + (mixed(i) % (126 * 0x8000)) * 512 + offset] };
}

/** An address in one /32 of 2400::/6. */
function ipv6(i: number, second: number, last: number): Ip {
  return { family: 6, words: [0x2400_0000 + (mixed(i) >>> 6), second, 0, last] };
}

function literal(ip: Ip): Destination {
  return { type: 'ip', ip, port: 443 };
}

function named(name: string): Destination {
  return { type: 'name', name, port: 443 };
}

/** All names have the same length, so that lists differ only in size. */
function host(i: number): string {
  return `host${`${i}`.padStart(6, '0')}`;
}

/** A pseudo-random number, constant for each i (the finalizer of MurmurHash3). */
function mixed(i: number): number {
  let word = Math.imul(i ^ (i >>> 16), 0x85eb_ca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2_ae35);
  return (word ^ (word >>> 16)) >>> 0;
}
