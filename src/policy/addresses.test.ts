import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { formatIp, parseIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { AddressSet, parseAddressRange } from './addresses.ts';
import type { AddressRange } from './addresses.ts';

suite('parseAddressRange', () => {
  const rows: Readonly<Record<string, string | undefined>> = {
    '192.0.2.7': '192.0.2.7-192.0.2.7',
    '192.0.2.7/32': '192.0.2.7-192.0.2.7',
    '192.0.2.7/24': '192.0.2.0-192.0.2.255',
    '192.0.2.7/1': '128.0.0.0-255.255.255.255',
    '0.0.0.0/0': '0.0.0.0-255.255.255.255',
    '2001:db8::1': '2001:db8::1-2001:db8::1',
    '2001:db8::1/128': '2001:db8::1-2001:db8::1',
    '2001:db8::/33': '2001:db8::-2001:db8:7fff:ffff:ffff:ffff:ffff:ffff',
    '2001:db8::1/64': '2001:db8::-2001:db8::ffff:ffff:ffff:ffff',
    '::/0': '::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '192.0.2.0/33': undefined,
    '2001:db8::/129': undefined,
    '192.0.2.0/': undefined,
    '192.0.2.0/08': undefined,
    '192.0.2.0/-1': undefined,
    '192.0.2.0/24/24': undefined,
    '192.0.2.0/255.255.255.0': undefined,
    '192.0.2/24': undefined,
    'www.example.com': undefined,
    '': undefined,
  };
  for (const [text, expected] of Object.entries(rows)) {
    test(`'${text}'`, () => {
      const range = parseAddressRange(text);
      assert.equal(range && `${formatIp(range.first)}-${formatIp(range.last)}`, expected);
    });
  }
});

suite('AddressSet', () => {
  test('property: contains the addresses of its ranges', () => {
    fc.assert(
      fc.property(fc.array(anyRange, { maxLength: 12 }), fc.array(anyIp, { minLength: 1 }), (ranges, ips) => {
        const set = AddressSet.of(ranges);
        const rest = AddressSet.except(ranges);
        for (const ip of [...ips, ...ranges.flatMap(aroundEdges)]) {
          const expected = ranges.some((range) => isWithin(range, ip));
          assert.equal(set.has(ip), expected, formatIp(ip));
          assert.equal(rest.has(ip), !expected, formatIp(ip));
        }
      }),
    );
  });

  test('property: covers a range when it has every address of it', () => {
    fc.assert(
      fc.property(fc.array(nearRange, { maxLength: 6 }), nearRange, (ranges, asked) => {
        const every = addressesOf(asked).every((ip) => ranges.some((range) => isWithin(range, ip)));
        assert.equal(AddressSet.of(ranges).covers(asked), every);
      }),
    );
  });

  test('of() without ranges is empty, except() without ranges contains everything', () => {
    for (const text of ['0.0.0.0', '255.255.255.255', '::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']) {
      assert.equal(AddressSet.of([]).has(parseIp(text)!), false);
      assert.equal(AddressSet.except([]).has(parseIp(text)!), true);
    }
  });
});

const word = fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.constantFrom(0, 1, 0xffff_ffff));

const anyIp: fc.Arbitrary<Ip> = fc.oneof(
  word.map((d): Ip => ({ family: 4, words: [0, 0, 0, d] })),
  fc.tuple(word, word, word, word).map((words): Ip => ({ family: 6, words })),
);

const anyRange: fc.Arbitrary<AddressRange> = fc
  .tuple(anyIp, fc.nat(128))
  .map(([ip, size]) => parseAddressRange(`${formatIp(ip)}/${ip.family === 4 ? size % 33 : size}`)!);

/** At most 16 addresses within 192.0.2.0 to 192.0.2.63, so that ranges overlap. */
const nearRange: fc.Arbitrary<AddressRange> = fc
  .tuple(fc.nat(63), fc.integer({ min: 28, max: 32 }))
  .map(([last, size]) => parseAddressRange(`192.0.2.${last}/${size}`)!);

function isWithin({ first, last }: AddressRange, ip: Ip): boolean {
  return ip.family === first.family && number(first) <= number(ip) && number(ip) <= number(last);
}

function number({ words }: Ip): bigint {
  return words.reduce((high, low) => (high << 32n) + BigInt(low), 0n);
}

function addressesOf({ first, last }: AddressRange): Ip[] {
  const count = last.words[3] - first.words[3] + 1;
  return Array.from({ length: count }, (_, i) => ({ family: 4, words: [0, 0, 0, first.words[3] + i] }));
}

/** The first and last address and their neighbours, where the lowest word has them. */
function aroundEdges({ first, last }: AddressRange): Ip[] {
  return [first, last].flatMap((ip) =>
    [-1, 0, 1]
      .map((step) => ip.words[3] + step)
      .filter((lowest) => lowest >= 0 && lowest <= 0xffff_ffff)
      .map((lowest): Ip => ({ ...ip, words: [ip.words[0], ip.words[1], ip.words[2], lowest] })),
  );
}
