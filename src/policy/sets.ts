import type { Ip } from '../wire/ip.ts';
import { AddressSet, parseAddressRange } from './addresses.ts';
import type { AddressRange } from './addresses.ts';

/** The named sets of a rule file. `self` depends on the machine. */
export const SET_NAMES = [
  'any',
  'public',
  'private',
  'loopback',
  'link-local',
  'multicast',
  'self',
  'metadata',
  'reserved',
] as const;
export type SetName = (typeof SET_NAMES)[number];

/** The sets that are plain lists: of CIDRs, addresses, and ranges between two addresses. */
const BLOCKS = {
  // RFC 1918, RFC 6598 (carrier-grade NAT), RFC 2544 (benchmarks), RFC 4193
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '198.18.0.0/15', 'fc00::/7'],
  loopback: ['127.0.0.0/8', '::1'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  multicast: ['224.0.0.0/4', 'ff00::/8'],
  // Cloud services that return credentials to any caller.
  metadata: [
    '169.254.169.254', // AWS, Azure, Google and most others
    '100.100.100.200', // Alibaba
    '168.63.129.16', // Azure
    '192.0.0.192', // Oracle
    'fd00:ec2::/32', // AWS: metadata, DNS, time and future services
    'fd20:ce::254', // Google
    'fd00:42::42', // Scaleway
    'fd00:c1::a9fe:a9fe', // Oracle
    'fd00:a9fe:a9fe::1', // Akamai
    'fd00:100::100:200', // Alibaba
  ],
  // IANA's special-purpose registries for IPv4 and IPv6 (RFC 6890, RFC 8190): addresses that are not globally
  // reachable and in no set above. The registries list ORCHIDs (2001:20::/28, RFC 7343) and drones
  // (2001:30::/28, RFC 9374) as reachable, but these are identifiers and cannot be reached.
  reserved: [
    '0.0.0.1-0.255.255.255', // this network (RFC 791)
    '192.0.0.0-192.0.0.8', // protocol assignments (RFC 6890, RFC 7335, RFC 7600); .9 and .10 are anycast services (RFC 7723, RFC 8155)
    '192.0.0.11-192.0.0.255', // more of them (RFC 8880)
    '192.0.2.0/24', // documentation (RFC 5737)
    '192.88.99.0/24', // relays of 6to4, deprecated (RFC 7526)
    '198.18.0.0/15', // benchmarks (RFC 2544)
    '198.51.100.0/24', // documentation (RFC 5737)
    '203.0.113.0/24', // documentation (RFC 5737)
    '240.0.0.0/4', // future use (RFC 1112), and broadcast (RFC 919)
    '::2-::ffff:ffff', // IPv4-compatible, deprecated (RFC 4291 section 2.5.5.1)
    '::ffff:0:0:0/96', // IPv4-translated, deprecated (RFC 2765)
    '64:ff9b:1::/48', // local-use NAT64, where only the network itself knows the position of the IPv4 address (RFC 8215)
    '100::/64', // discard (RFC 6666)
    '100:0:0:1::/64', // dummy prefix (RFC 9780)
    '2001::-2001:1::', // Teredo, which carries IPv4 addresses (RFC 4380); 2001:1::1 to ::3 are anycast services (RFC 7723, 8155, 9665)
    '2001:1::4-2001:2:ffff:ffff:ffff:ffff:ffff:ffff', // benchmarks (RFC 5180); 2001:3::/32 is AMT (RFC 7450)
    '2001:4::-2001:4:111:ffff:ffff:ffff:ffff:ffff', // protocol assignments (RFC 2928); 2001:4:112::/48 is AS112 (RFC 7535)
    '2001:4:113::-2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', // more of them, ORCHIDs and drones among them
    '2001:db8::/32', // documentation (RFC 3849)
    '3fff::/20', // documentation (RFC 9637)
    '5f00::/16', // segments of SRv6 (RFC 9602)
    'fec0::/10', // site-local, deprecated (RFC 3879)
  ],
} as const;

/**
 * In no set, so no rule can allow them: connections to them reach this machine (RFC 1122 section 3.2.1.3, RFC
 * 4291 section 2.5.2).
 */
const UNSPECIFIED = ['0.0.0.0', '::'];

/** A set that is a list of ranges. */
export type BlockName = keyof typeof BLOCKS;

export function rangesOf(set: BlockName): AddressRange[] {
  return read(BLOCKS[set]);
}

/** The special sets that contain an address. */
export function blocksWith(ip: Ip): BlockName[] {
  const { private: _, ...special } = BLOCKS;
  return Object.entries(special).flatMap(([set, blocks]) =>
    AddressSet.of(read(blocks)).has(ip) ? [set as BlockName] : [],
  );
}

/**
 * The addresses that rules allow only by name: `any`, `public` or a containing network is not enough. `self`
 * is special too.
 */
export function specialRanges(): AddressRange[] {
  const { private: _, ...special } = BLOCKS;
  return read([...Object.values(special).flat(), ...UNSPECIFIED]);
}

/** All addresses that are neither private nor special; `self` is not considered. */
export function publicSet(): AddressSet {
  return AddressSet.except([...specialRanges(), ...rangesOf('private')]);
}

function read(blocks: readonly string[]): AddressRange[] {
  return blocks.map((block) => {
    const [first, last = first] = block.split('-').map((text) => parseAddressRange(text)!);
    return { first: first!.first, last: last!.last };
  });
}
