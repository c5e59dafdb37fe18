import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  embeddedIpv4,
  formatIp,
  type Ip,
  ipBytes,
  ipFromBytes,
  ipOf,
  isLoopback,
  parseIp,
  sameIp,
  seenFrom,
  unmapped,
  withoutZone,
  withZone,
  writeIp,
  zoneOf,
} from './ip.ts';

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const anyIp: fc.Arbitrary<Ip> = fc.oneof(
  word.map((d): Ip => ({ family: 4, words: [0, 0, 0, d] })),
  // Zeros are frequent, so that every position and length of `::` occurs.
  fc
    .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
    .map((groups): Ip => {
      const at = (i: number): number => groups[i]! * 65_536 + groups[i + 1]!;
      return { family: 6, words: [at(0), at(2), at(4), at(6)] };
    }),
);

const canonical = [
  ['0.0.0.0', '0.0.0.0'],
  ['192.0.2.1', '192.0.2.1'],
  ['255.255.255.255', '255.255.255.255'],
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['2001:DB8::1', '2001:db8::1'],
  ['2001:0db8::0001', '2001:db8::1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['1:2:3:4:5:6:0:0', '1:2:3:4:5:6::'],
  ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
  ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
  ['::ffff:c000:201', '::ffff:192.0.2.1'],
  ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
  ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4:5:6:c000:201'],
  ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
] as const;

for (const [text, expected] of canonical) {
  test(`${text} is written ${expected}`, () => {
    const ip = parseIp(text);
    assert.ok(ip !== undefined);
    assert.equal(formatIp(ip), expected);
  });
}

const notAddresses = [
  '',
  ' ',
  '.',
  '...',
  '1.2.3',
  '1.2.3.',
  '.1.2.3',
  '1.2.3.4.',
  '1.2.3.4.5',
  '1..2.3',
  '1.2.3.256',
  '1.2.3.1000000000000',
  '01.2.3.4',
  '1.2.3.00',
  '127.1',
  '2130706433',
  '0x7f.0.0.1',
  '0x7f000001',
  '1.2.3.-4',
  '1.2.3.+4',
  ' 1.2.3.4',
  '1.2.3.4 ',
  '1.2.3.4\0',
  '1.2.3.4\n',
  '１.2.3.4',
  'localhost',
  ':',
  ':1',
  '1:',
  ':::',
  '1:::2',
  '1::2::3',
  ':1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '1:2:3:4::5:6:7:8',
  '::12345',
  '::g',
  '::1%eth0',
  'fe80::1%1',
  '[::1]',
  '::1\n',
  ' ::1',
  '::1.2.3',
  '::1.2.3.256',
  '::1.2.3.4:5',
  '1.2.3.4::',
  '1:2:3:4:5:6:7:1.2.3.4',
  '::ffff:01.2.3.4',
];

for (const text of notAddresses) {
  test(`${JSON.stringify(text)} is no address`, () => {
    assert.equal(parseIp(text), undefined);
  });
}

test('every address survives its text and its bytes', () => {
  fc.assert(
    fc.property(anyIp, (ip) => {
      assert.deepEqual(parseIp(formatIp(ip)), ip);
      assert.deepEqual(ipFromBytes(ipBytes(ip), 0, ip.family), ip);
    }),
  );
});

test('invalid text never throws, and an address has one canonical text', () => {
  const nearly = fc.string({
    unit: fc.constantFrom('0', '1', '2', '5', '9', 'a', 'f', ':', ':', '.', '.', '%', '[', 'x', ' '),
    maxLength: 40,
  });
  fc.assert(
    fc.property(nearly, (text) => {
      const ip = parseIp(text);
      if (ip === undefined) return;
      const written = formatIp(ip);
      assert.deepEqual(parseIp(written), ip);
      assert.equal(written, written.toLowerCase());
    }),
    { numRuns: 1000 },
  );
});

test('addresses are read from and written to the middle of a buffer', () => {
  const bytes = Uint8Array.of(9, 192, 0, 2, 1, 9);
  const ip = ipFromBytes(bytes, 1, 4);
  assert.equal(formatIp(ip), '192.0.2.1');
  const copy = new Uint8Array(6).fill(9);
  writeIp(ip, copy, 1);
  assert.deepEqual(copy, bytes);
});

test('equal addresses are equal, other addresses and families are not', () => {
  const ip = parseIp('2001:db8::1')!;
  assert.equal(sameIp(ip, parseIp('2001:db8:0::1')!), true);
  for (const other of ['2001:db8::2', '2001:db8:0:0:0:1::1', '2001:db8:1::1', '2001:db9::1', '0.0.0.1']) {
    assert.equal(sameIp(ip, parseIp(other)!), false, other);
  }
  assert.equal(sameIp(parseIp('0.0.0.1')!, parseIp('::1')!), false);
});

const unwrapped: readonly (readonly [text: string, mapped: string, embedded: string | undefined])[] = [
  ['::ffff:127.0.0.1', '127.0.0.1', undefined],
  ['64:ff9b::127.0.0.1', '64:ff9b::7f00:1', '127.0.0.1'],
  ['2002:7f00:1::', '2002:7f00:1::', '127.0.0.1'],
  ['2002:ffff:ffff:1:2:3:4:5', '2002:ffff:ffff:1:2:3:4:5', '255.255.255.255'],
  ['192.0.2.1', '192.0.2.1', undefined],
  ['::1', '::1', undefined],
  ['::127.0.0.1', '::7f00:1', undefined],
  ['::ffff:0:127.0.0.1', '::ffff:0:7f00:1', undefined],
  ['64:ff9b:1::127.0.0.1', '64:ff9b:1::7f00:1', undefined],
  ['1::ffff:127.0.0.1', '1::ffff:7f00:1', undefined],
  ['2003:7f00:1::', '2003:7f00:1::', undefined],
];

for (const [text, mapped, embedded] of unwrapped) {
  test(`${text} is ${mapped} and leads to ${embedded ?? 'no other'}`, () => {
    const ip = parseIp(text)!;
    const inside = embeddedIpv4(ip);
    assert.deepEqual([formatIp(unmapped(ip)), inside && formatIp(inside)], [mapped, embedded]);
  });
}

test('loopback', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1']) assert.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '1270::1'])
    assert.ok(!isLoopback(host), host);
});

test('zones', () => {
  assert.deepEqual(ipOf('fe80::1%eth0'), parseIp('fe80::1'));
  assert.deepEqual(ipOf('192.0.2.1'), parseIp('192.0.2.1'));
  assert.equal(ipOf('eth0'), undefined);
  for (const [host, address, zone] of [
    ['fe80::1%eth0', 'fe80::1', 'eth0'],
    ['192.0.2.1%wg0', '192.0.2.1', 'wg0'],
    ['fe80::1', 'fe80::1', undefined],
  ] as const) {
    assert.equal(withoutZone(host), address);
    assert.equal(zoneOf(host), zone);
    assert.equal(withZone(address, zone), host);
    assert.equal(withZone(host, 'other'), zone === undefined ? `${host}%other` : host);
  }
  for (const [local, host, seen] of [
    ['fe80::1%eth0', 'fe80::2', 'fe80::2%eth0'],
    ['fe80::1%eth0', 'fe80::2%eth1', 'fe80::2%eth1'],
    ['fe80::1%eth0', '2001:db8::2', '2001:db8::2'],
    ['2001:db8::1', 'fe80::2', 'fe80::2'],
    ['169.254.0.1%eth0', '169.254.0.2', '169.254.0.2'],
  ] as const)
    assert.equal(seenFrom(local, host), seen);
});
