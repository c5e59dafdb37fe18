import { AddressSet, parseAddressRange } from './addresses.ts';
import type { AddressRange } from './addresses.ts';

/** The named sets of a rule file. What `self` is, the machine says. */
export const SET_NAMES = [
  'any',
  'public',
  'private',
  'loopback',
  'link-local',
  'multicast',
  'self',
  'metadata',
] as const;
export type SetName = (typeof SET_NAMES)[number];

/** Where a named set is just a list. */
const BLOCKS = {
  // RFC 1918, RFC 6598 (carrier-grade NAT), RFC 2544 (benchmarks), RFC 4193
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '198.18.0.0/15', 'fc00::/7'],
  loopback: ['127.0.0.0/8', '::1'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  multicast: ['224.0.0.0/4', 'ff00::/8'],
  // The clouds' services that hand credentials to whoever asks: most of them, Alibaba, Azure, Oracle; AWS and Google on IPv6
  metadata: [
    '169.254.169.254',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::254',
    'fd20:ce::254',
  ],
} as const;

/**
 * Unspecified (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.2), reserved and broadcast (RFC 1112 section 4), and what may
 * lead to an IPv4 address that nobody here can tell: IPv4-compatible (RFC 4291 section 2.5.5.1), and NAT64 of a network's own
 * (RFC 8215), which alone knows where in it the IPv4 address stands.
 */
const NAMELESS = ['0.0.0.0/8', '240.0.0.0/4', '::/96', '64:ff9b:1::/48'];

/** A set that is one list of ranges. */
export type BlockName = keyof typeof BLOCKS;

export function rangesOf(set: BlockName): AddressRange[] {
  return read(BLOCKS[set]);
}

/**
 * The addresses that no rule allows unless it names them: neither `any` nor `public` nor a network around them is enough.
 * `self` belongs to them too.
 */
export function specialRanges(): AddressRange[] {
  const { private: _, ...special } = BLOCKS;
  return read([...Object.values(special).flat(), ...NAMELESS]);
}

/** Every address that is neither private nor special; `self` is not looked at. */
export function publicSet(): AddressSet {
  return AddressSet.except([...specialRanges(), ...rangesOf('private')]);
}

function read(blocks: readonly string[]): AddressRange[] {
  return blocks.map((block) => parseAddressRange(block)!);
}
