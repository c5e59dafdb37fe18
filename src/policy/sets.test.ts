import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { AddressSet, parseAddressRange } from './addresses.ts';
import { SET_NAMES, publicSet, rangesOf, specialRanges } from './sets.ts';
import type { BlockName } from './sets.ts';

const LISTED = SET_NAMES.filter((name): name is BlockName => !['any', 'public', 'self'].includes(name));
const SETS = LISTED.map((name) => [name, AddressSet.of(rangesOf(name))] as const);
const SPECIAL = AddressSet.of(specialRanges());
const PUBLIC = publicSet();

function setsOf(ip: Ip): string {
  return SETS.flatMap(([name, set]) => (set.has(ip) ? [name] : [])).join(' ');
}

/**
 * The rows of IANA's special-purpose registries for IPv4 and IPv6, and other special addresses, each with the
 * sets that contain it.
 */
const RANGES: Readonly<Record<string, string>> = {
  '0.0.0.1': 'reserved',
  '0.1.0.0/16': 'reserved',
  '10.0.0.0/8': 'private',
  '100.64.0.0/10': 'private',
  '127.0.0.0/8': 'loopback',
  '169.254.0.0/16': 'link-local',
  '172.16.0.0/12': 'private',
  '192.0.0.0/29': 'reserved',
  '192.0.0.8': 'reserved',
  '192.0.0.170': 'reserved',
  '192.0.0.171': 'reserved',
  '192.0.0.11': 'reserved',
  '192.0.0.255': 'reserved',
  '192.0.2.0/24': 'reserved',
  '192.88.99.0/24': 'reserved',
  '192.168.0.0/16': 'private',
  '198.18.0.0/15': 'private reserved',
  '198.51.100.0/24': 'reserved',
  '203.0.113.0/24': 'reserved',
  '224.0.0.0/4': 'multicast',
  '240.0.0.0/4': 'reserved',
  '255.255.255.255': 'reserved',
  '::1': 'loopback',
  '::2': 'reserved',
  '::7f00:1': 'reserved',
  '::ffff:ffff': 'reserved',
  '::ffff:0:0:0/96': 'reserved',
  '64:ff9b:1::/48': 'reserved',
  '100::/64': 'reserved',
  '100:0:0:1::/64': 'reserved',
  '2001::/32': 'reserved',
  '2001:1::': 'reserved',
  '2001:1::4': 'reserved',
  '2001:2::/48': 'reserved',
  '2001:10::/28': 'reserved',
  '2001:20::/28': 'reserved',
  '2001:30::/28': 'reserved',
  '2001:4::/48': 'reserved',
  '2001:4:111::/48': 'reserved',
  '2001:4:113::/48': 'reserved',
  '2001:100::/24': 'reserved',
  '2001:db8::/32': 'reserved',
  '3fff::/20': 'reserved',
  '5f00::/16': 'reserved',
  'fc00::/7': 'private',
  'fe80::/10': 'link-local',
  'fec0::/10': 'reserved',
  'ff00::/8': 'multicast',

  '169.254.169.254': 'link-local metadata',
  '100.100.100.200': 'private metadata',
  '168.63.129.16': 'metadata',
  '192.0.0.192': 'metadata reserved',
  'fd00:ec2::/32': 'private metadata',
  'fd00:ec2::254': 'private metadata',
  'fd20:ce::254': 'private metadata',
  'fd00:42::42': 'private metadata',
  'fd00:c1::a9fe:a9fe': 'private metadata',
  'fd00:a9fe:a9fe::1': 'private metadata',
  'fd00:100::100:200': 'private metadata',
};

suite('sets', () => {
  for (const [text, expected] of Object.entries(RANGES)) {
    test(`${text}: ${expected}`, () => {
      const range = parseAddressRange(text)!;
      for (const ip of [range.first, range.last]) {
        assert.equal(setsOf(ip), expected);
        assert.equal(SPECIAL.has(ip), expected !== 'private');
      }
      assert.equal(expected === 'private' || SPECIAL.covers(range), true);
      assert.equal(PUBLIC.has(range.first) || PUBLIC.has(range.last), false);
    });
  }

  test('the unspecified addresses are in no set, but special', () => {
    for (const ip of [parseIp('0.0.0.0')!, parseIp('::')!]) {
      assert.equal(setsOf(ip), '');
      assert.equal(SPECIAL.has(ip), true);
      assert.equal(PUBLIC.has(ip), false);
    }
  });

  // Addresses that the registries call globally reachable, and neighbours of the special ranges.
  const reachable =
    '1.0.0.0 192.0.0.9 192.0.0.10 192.0.1.0 192.0.3.0 192.31.196.1 192.52.193.1 192.88.98.255 192.88.100.0 192.175.48.1 198.17.255.255 ' +
    '198.20.0.0 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255 168.63.129.17 ::1:0:0 ::fffe:ffff:ffff:ffff 64:ff9b::1 64:ff9b:2::1 ' +
    '100:0:0:2::1 2001:1::1 2001:1::2 2001:1::3 2001:3::1 2001:4:112::1 2001:200::1 2001:db7::1 2001:db9::1 2002::1 2620:4f:8000::1 ' +
    '3fff:1000::1 5eff::1 5f01::1';
  for (const text of reachable.split(' ')) {
    test(`${text} is public`, () => {
      const ip = parseIp(text)!;
      assert.equal(setsOf(ip), '');
      assert.equal(SPECIAL.has(ip), false);
      assert.equal(PUBLIC.has(ip), true);
    });
  }
});
