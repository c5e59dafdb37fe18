import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIp, parseIp, type Ip } from '../wire/ip.ts';
import { orderDestinations } from './order.ts';

/** Destinations in the expected order, each with the source address for it; `undefined` = unreachable. */
type Row = readonly [
  rule: string,
  ...destinations: (readonly [destination: string, source: string | undefined])[],
];

// The first eight are the examples of RFC 6724 section 10.2 that these rules decide.
const rows: readonly Row[] = [
  ['2: matching scope', ['2001:db8:1::1', '2001:db8:1::2'], ['198.51.100.121', '169.254.13.78']],
  ['2: matching scope, IPv4', ['198.51.100.121', '198.51.100.117'], ['2001:db8:1::1', 'fe80::1']],
  ['6: higher precedence', ['2001:db8:1::1', '2001:db8:1::2'], ['10.1.2.3', '10.1.2.4']],
  ['8: smaller scope', ['fe80::1', 'fe80::2'], ['2001:db8:1::1', '2001:db8:1::2']],
  ['5: matching label', ['2002:c633:6401::1', '2002:c633:6401::2'], ['2001:db8:1::1', '2002:c633:6401::2']],
  ['6: not through 6to4', ['2001:db8:1::1', '2001:db8:1::2'], ['2002:c633:6401::1', '2002:c633:6401::2']],
  ['9: longest prefix', ['2001:db8:1::1', '2001:db8:1::2'], ['2001:db8:3ffe::1', '2001:db8:3f44::2']],
  ['9: in the second word', ['2001:db8:0:1::1', '2001:db8:0:1::2'], ['2001:db8:0:8::1', '2001:db8:0:1::2']],
  ['1: reachable', ['192.0.2.1', '192.0.2.9'], ['2001:db8::1', undefined]],
  ['1: reachable before all else', ['fec0::1', '2001:db8::9'], ['::1', undefined]],
  ['6: loopback', ['::1', '::1'], ['127.0.0.1', '127.0.0.1']],
  ['5: no unique local address towards the world', ['192.0.2.1', '10.0.0.2'], ['2001:db8::1', 'fd00::2']],
  ['6: the world before Teredo', ['2001:db8::1', '2001:db8::2'], ['2001:0:1::1', '2001:0:1::2']],
  ['6: unique local last', ['192.0.2.1', '192.0.2.9'], ['fd00::1', 'fd00::2']],
  [
    '6: an IPv4-mapped address as IPv4',
    ['2001:db8::1', '2001:db8::2'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.9'],
  ],
  ['2: a private address is as global as any', ['192.0.2.1', '10.0.0.2'], ['10.0.0.1', '10.0.0.2']],
];

function order(destinations: readonly (readonly [string, string | undefined])[]): string[] {
  const ips = destinations.map(([literal]) => parseIp(literal)!);
  const sources = new Map(destinations.map(([literal, source]) => [literal, parseIp(source ?? '')]));
  return orderDestinations(ips, (ip: Ip) => sources.get(formatIp(ip))).map(formatIp);
}

for (const [rule, ...destinations] of rows) {
  test(`rule ${rule}`, () => {
    const expected = destinations.map(([literal]) => literal);
    assert.deepEqual(order(destinations), expected);
    const stable = rule.includes('as global as any') ? expected.toReversed() : expected;
    assert.deepEqual(order(destinations.toReversed()), stable);
  });
}

test('rule 10: IPv4 addresses stay as the server gave them, whatever prefix they have in common with the source', () => {
  const given = ['192.0.2.200', '10.9.9.9', '192.0.2.1', '198.51.100.7'];
  assert.deepEqual(order(given.map((literal) => [literal, '192.0.2.2'])), given);
});

test('one address needs no source', () => {
  const ip = parseIp('192.0.2.1')!;
  for (const ips of [[], [ip]]) {
    assert.deepEqual(
      orderDestinations(ips, () => assert.fail('asked for a source')),
      ips,
    );
  }
});
