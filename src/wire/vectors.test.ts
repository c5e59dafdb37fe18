import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { encodeAddress } from './address.ts';
import type { Decoded } from './decoded.ts';
import type { WireErrorCode } from './error.ts';
import {
  decodeCredentials,
  decodePasswordStatus,
  encodeCredentials,
  encodePasswordStatus,
} from './password.ts';
import { decodeProxyHeader } from './proxy-header.ts';
import {
  decodeSocks4Refusal,
  decodeSocks4Reply,
  decodeSocks4Request,
  encodeSocks4Reply,
  encodeSocks4Request,
} from './socks4.ts';
import {
  decodeGreeting,
  decodeMethod,
  decodeSocks5Refusal,
  decodeSocks5Reply,
  decodeSocks5Request,
  encodeGreeting,
  encodeMethod,
  encodeSocks5Reply,
  encodeSocks5Request,
} from './socks5.ts';
import { decodeUdpHeader, encodeUdpHeader } from './udp.ts';

/** A message as bytes and as a value; a form that garter does not send is only decoded. */
interface Vector<T> {
  readonly name: string;
  readonly hex: string;
  readonly message: T;
  readonly only?: 'decode';
}
/** Bytes that are refused. */
type Fault = readonly [name: string, hex: string, code: WireErrorCode];

interface Codec<T> {
  readonly decode: (bytes: Uint8Array) => Decoded<T> | undefined;
  /** Absent where garter never sends it. */
  readonly encode?: (message: T) => Uint8Array;
  readonly vectors: readonly Vector<T>[];
  readonly faults?: readonly Fault[];
}

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const text = (of: string): string => Buffer.from(of).toString('hex');

function check<T>(title: string, { decode, encode, vectors, faults = [] }: Codec<T>): void {
  suite(title, () => {
    for (const { name, hex, message, only } of vectors) {
      const bytes = bytesOf(hex);
      test(`${name}: decode`, () => {
        assert.deepEqual(decode(bytes), { value: message, size: bytes.length });
        assert.deepEqual(
          decode(bytesOf(`${hex} de ad be ef`)),
          { value: message, size: bytes.length },
          'with bytes behind',
        );
        for (let size = 0; size < bytes.length; size++)
          assert.equal(decode(bytes.subarray(0, size)), undefined, `${size} bytes`);
      });
      if (only === undefined && encode !== undefined)
        test(`${name}: encode`, () => assert.equal(hexOf(encode(message)), hexOf(bytes)));
    }
    for (const [name, hex, code] of faults) {
      test(`${name}: ${code}`, () => assert.throws(() => decode(bytesOf(hex)), { name: 'WireError', code }));
    }
  });
}

const ipv4 = { type: 1, host: '192.0.2.1', port: 443 } as const;
const ipv6 = { type: 4, host: '2001:db8::1', port: 53 } as const;
const named = (host: string, port = 80): { type: 3; host: string; port: number } => ({ type: 3, host, port });
const long = 'a'.repeat(255);

check('greeting', {
  decode: decodeGreeting,
  encode: encodeGreeting,
  vectors: [
    { name: 'none', hex: '05 01 00', message: [0] },
    { name: 'curl', hex: '05 02 00 01', message: [0, 1] },
    { name: 'curl with a password', hex: '05 03 00 01 02', message: [0, 1, 2] },
    { name: 'unknown and repeated ones', hex: '05 04 80 80 03 fe', message: [0x80, 0x80, 3, 0xfe] },
    { name: '255 methods', hex: `05 ff ${'07'.repeat(255)}`, message: Array.from({ length: 255 }, () => 7) },
  ],
  faults: [
    ['version 4', '04 01 00', 'ERR_SOCKS_VERSION'],
    ['HTTP', text('GET / HTTP/1.1'), 'ERR_SOCKS_VERSION'],
    ['no methods', '05 00', 'ERR_SOCKS_NO_METHODS'],
  ],
});

check('method', {
  decode: decodeMethod,
  encode: encodeMethod,
  vectors: [
    { name: 'none', hex: '05 00', message: 0 },
    { name: 'password', hex: '05 02', message: 2 },
    { name: 'none acceptable', hex: '05 ff', message: 0xff },
  ],
  faults: [['a server of SOCKS4', '00 5b', 'ERR_SOCKS_VERSION']],
});

check('credentials', {
  decode: decodeCredentials,
  encode: encodeCredentials,
  vectors: [
    {
      name: 'plain',
      hex: `01 05 ${text('alice')} 06 ${text('s3cret')}`,
      message: { username: 'alice', password: 's3cret' },
    },
    { name: 'UTF-8', hex: `01 05 ${text('jörg')} 01 78`, message: { username: 'jörg', password: 'x' } },
    {
      name: 'a byte order mark',
      hex: '01 04 efbbbf61 01 78',
      message: { username: '\ufeffa', password: 'x' },
    },
    { name: 'empty', hex: '01 00 00', message: { username: '', password: '' } },
    {
      name: '255 each',
      hex: `01 ff ${text(long)} ff ${text(long)}`,
      message: { username: long, password: long },
    },
  ],
  faults: [
    ['version 5', '05 01 61 01 61', 'ERR_SOCKS_PASSWORD_VERSION'],
    ['a user name that is not UTF-8', '01 01 ff 01 61', 'ERR_SOCKS_PASSWORD_ENCODING'],
    ['a password that is not UTF-8', '01 01 61 02 c3 28', 'ERR_SOCKS_PASSWORD_ENCODING'],
  ],
});

check('password status', {
  decode: decodePasswordStatus,
  encode: encodePasswordStatus,
  vectors: [
    { name: 'success', hex: '01 00', message: 0 },
    { name: 'failure', hex: '01 01', message: 1 },
    { name: 'a server that answers with version 5', hex: '05 00', message: 0, only: 'decode' },
  ],
});

check('SOCKS5 request', {
  decode: decodeSocks5Request,
  encode: encodeSocks5Request,
  vectors: [
    {
      name: 'CONNECT by IPv4',
      hex: '05 01 00 01 c0 00 02 01 01 bb',
      message: { command: 1, destination: ipv4 },
    },
    {
      name: 'CONNECT by name',
      hex: `05 01 00 03 0b ${text('example.com')} 00 50`,
      message: { command: 1, destination: named('example.com') },
    },
    {
      name: 'Chromium: an address as a name',
      hex: `05 01 00 03 09 ${text('127.0.0.1')} 1f 90`,
      message: { command: 1, destination: named('127.0.0.1', 8080) },
    },
    {
      name: 'BIND by IPv6',
      hex: '05 02 00 04 20010db8000000000000000000000001 00 35',
      message: { command: 2, destination: ipv6 },
    },
    {
      name: 'UDP ASSOCIATE',
      hex: '05 03 00 01 00 00 00 00 00 00',
      message: { command: 3, destination: { type: 1, host: '0.0.0.0', port: 0 } },
    },
    {
      name: 'RESOLVE',
      hex: '05 f0 00 03 01 61 00 00',
      message: { command: 0xf0, destination: named('a', 0) },
    },
    {
      name: 'an unknown command',
      hex: '05 09 00 01 c0 00 02 01 01 bb',
      message: { command: 9, destination: ipv4 },
    },
    { name: 'an empty name', hex: '05 01 00 03 00 00 50', message: { command: 1, destination: named('') } },
    {
      name: 'a name of 255',
      hex: `05 01 00 03 ff ${text(long)} 00 50`,
      message: { command: 1, destination: named(long) },
    },
    {
      name: 'a name in UTF-8, counted in bytes',
      hex: `05 01 00 03 08 ${text('münchen')} 00 50`,
      message: { command: 1, destination: named('münchen') },
    },
    {
      name: 'NUL and line ends in a name',
      hex: '05 01 00 03 04 61 00 0d 0a 00 50',
      message: { command: 1, destination: named('a\0\r\n') },
    },
    {
      name: 'RSV that is not 0',
      hex: '05 01 07 01 c0 00 02 01 01 bb',
      message: { command: 1, destination: ipv4 },
      only: 'decode',
    },
  ],
  faults: [
    ['version 4', '04 01 00 01', 'ERR_SOCKS_VERSION'],
    ['ATYP 0', '05 01 00 00', 'ERR_SOCKS_ADDRESS_TYPE'],
    ['ATYP 2', '05 01 00 02', 'ERR_SOCKS_ADDRESS_TYPE'],
    ['ATYP 255', '05 01 00 ff', 'ERR_SOCKS_ADDRESS_TYPE'],
    ['a name that is not UTF-8', '05 01 00 03 02 c3 28 00 50', 'ERR_SOCKS_NAME'],
    ['half a surrogate pair', '05 01 00 03 03 ed a0 80 00 50', 'ERR_SOCKS_NAME'],
    ['an overlong NUL', '05 01 00 03 02 c0 80 00 50', 'ERR_SOCKS_NAME'],
  ],
});

check('SOCKS5 reply', {
  decode: decodeSocks5Reply,
  encode: encodeSocks5Reply,
  vectors: [
    { name: 'succeeded', hex: '05 00 00 01 c0 00 02 01 01 bb', message: { code: 0, bound: ipv4 } },
    {
      name: 'refused',
      hex: '05 05 00 01 00 00 00 00 00 00',
      message: { code: 5, bound: { type: 1, host: '0.0.0.0', port: 0 } },
    },
    {
      name: 'IPv6',
      hex: '05 00 00 04 20010db8000000000000000000000001 00 35',
      message: { code: 0, bound: ipv6 },
    },
    {
      name: 'a name (RESOLVE_PTR)',
      hex: `05 00 00 03 01 61 00 00`,
      message: { code: 0, bound: named('a', 0) },
    },
    { name: 'an unknown code', hex: '05 f4 00 01 c0 00 02 01 01 bb', message: { code: 0xf4, bound: ipv4 } },
  ],
  faults: [
    ['version 1', '01 00 00 01', 'ERR_SOCKS_VERSION'],
    ['ATYP 5', '05 00 00 05', 'ERR_SOCKS_ADDRESS_TYPE'],
  ],
});

check('SOCKS5 refusal', {
  decode: decodeSocks5Refusal,
  vectors: [
    { name: 'general failure', hex: '05 01', message: 1 },
    { name: 'an unknown code', hex: '05 f4', message: 0xf4 },
  ],
  faults: [['version 1', '01 01', 'ERR_SOCKS_VERSION']],
});

check('SOCKS4 request', {
  decode: decodeSocks4Request,
  encode: encodeSocks4Request,
  vectors: [
    {
      name: 'CONNECT',
      hex: `04 01 01 bb c0 00 02 01 ${text('joe')} 00`,
      message: { command: 1, destination: ipv4, userId: 'joe' },
    },
    {
      name: 'BIND without a user id',
      hex: '04 02 01 bb c0 00 02 01 00',
      message: { command: 2, destination: ipv4, userId: '' },
    },
    {
      name: '0.0.0.0 is an address',
      hex: '04 02 00 15 00 00 00 00 00',
      message: { command: 2, destination: { type: 1, host: '0.0.0.0', port: 21 }, userId: '' },
    },
    {
      name: '0.0.1.0 is an address',
      hex: '04 01 00 50 00 00 01 00 00',
      message: { command: 1, destination: { type: 1, host: '0.0.1.0', port: 80 }, userId: '' },
    },
    {
      name: 'a user id in Latin-1 is accepted',
      hex: '04 01 01 bb c0 00 02 01 6a fc 72 67 00',
      message: { command: 1, destination: ipv4, userId: 'j\ufffdrg' },
      only: 'decode',
    },
    {
      name: 'SOCKS4A',
      hex: `04 01 00 50 00 00 00 01 00 ${text('example.com')} 00`,
      message: { command: 1, destination: named('example.com'), userId: '' },
    },
    {
      name: 'SOCKS4A with 0.0.0.255',
      hex: `04 01 00 50 00 00 00 ff 61 00 62 00`,
      message: { command: 1, destination: named('b'), userId: 'a' },
      only: 'decode',
    },
    {
      name: 'Tor: RESOLVE',
      hex: '04 f0 00 00 00 00 00 01 00 61 00',
      message: { command: 0xf0, destination: named('a', 0), userId: '' },
    },
    {
      name: 'a user id of 255',
      hex: `04 01 01 bb c0 00 02 01 ${text(long)} 00`,
      message: { command: 1, destination: ipv4, userId: long },
    },
  ],
  faults: [
    ['version 5', '05 01 01 bb c0 00 02 01 00', 'ERR_SOCKS_VERSION'],
    ['a user id that does not end', `04 01 01 bb c0 00 02 01 ${'61'.repeat(256)}`, 'ERR_SOCKS_USER_ID'],
    ['a user id that ends too late', `04 01 01 bb c0 00 02 01 ${'61'.repeat(256)} 00`, 'ERR_SOCKS_USER_ID'],
    ['a name that does not end', `04 01 01 bb 00 00 00 01 00 ${'61'.repeat(256)}`, 'ERR_SOCKS_NAME'],
    ['a name that is not UTF-8', '04 01 01 bb 00 00 00 01 00 c3 28 00', 'ERR_SOCKS_NAME'],
  ],
});

check('SOCKS4 reply', {
  decode: decodeSocks4Reply,
  encode: encodeSocks4Reply,
  vectors: [
    { name: 'granted', hex: '00 5a 01 bb c0 00 02 01', message: { code: 90, bound: ipv4 } },
    {
      name: 'rejected',
      hex: '00 5b 00 00 00 00 00 00',
      message: { code: 91, bound: { type: 1, host: '0.0.0.0', port: 0 } },
    },
    { name: 'an unknown code', hex: '00 63 01 bb c0 00 02 01', message: { code: 99, bound: ipv4 } },
    {
      name: 'granted, of version 4',
      hex: '04 5a 01 bb c0 00 02 01',
      message: { code: 90, bound: ipv4 },
      only: 'decode',
    },
  ],
  faults: [['version 5', '05 00 00 01 00 00 00 00', 'ERR_SOCKS_VERSION']],
});

check('SOCKS4 refusal', {
  decode: decodeSocks4Refusal,
  vectors: [
    { name: 'rejected', hex: '00 5b', message: 91 },
    { name: 'of version 4', hex: '04 5c', message: 92 },
  ],
  faults: [['version 5', '05 01', 'ERR_SOCKS_VERSION']],
});

test('success is not a refusal', () => {
  assert.equal(decodeSocks5Refusal(bytesOf('05 00 00 01 c0 00 02 01 01 bb')), undefined);
  assert.equal(decodeSocks4Refusal(bytesOf('00 5a 01 bb c0 00 02 01')), undefined);
});

check('UDP header', {
  decode: (bytes) => decodeUdpHeader(bytes),
  encode: encodeUdpHeader,
  vectors: [
    { name: 'IPv4: 10 bytes', hex: '00 00 00 01 c0 00 02 01 01 bb', message: { fragment: 0, address: ipv4 } },
    {
      name: 'IPv6: 22 bytes',
      hex: '00 00 00 04 20010db8000000000000000000000001 00 35',
      message: { fragment: 0, address: ipv6 },
    },
    { name: 'a name', hex: '00 00 00 03 01 61 00 50', message: { fragment: 0, address: named('a') } },
    {
      name: 'the last of three fragments',
      hex: '00 00 83 01 c0 00 02 01 01 bb',
      message: { fragment: 0x83, address: ipv4 },
    },
  ],
  faults: [
    ['RSV that is not 0', '00 01 00 01 c0 00 02 01 01 bb', 'ERR_SOCKS_RESERVED'],
    ['ATYP 9', '00 00 00 09', 'ERR_SOCKS_ADDRESS_TYPE'],
    ['a name that is not UTF-8', '00 00 00 03 01 ff 00 50', 'ERR_SOCKS_NAME'],
  ],
});

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const addresses = {
  source: { host: '192.0.2.1', port: 56_324 },
  destination: { host: '198.51.100.1', port: 443 },
};
const addresses6 = {
  source: { host: '2001:db8::1', port: 56_324 },
  destination: { host: '2001:db8::2', port: 443 },
};
const tcp4 = 'c0 00 02 01  c6 33 64 01  dc 04 01 bb';
const tcp6 = `20010db8${'00'.repeat(11)}01 20010db8${'00'.repeat(11)}02 dc 04 01 bb`;

check('PROXY header', {
  decode: decodeProxyHeader,
  vectors: [
    { name: 'TCP4', hex: text('PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n'), message: { addresses } },
    {
      name: 'TCP6',
      hex: text('PROXY TCP6 2001:db8::1 2001:DB8:0::2 56324 443\r\n'),
      message: { addresses: addresses6 },
    },
    { name: 'UNKNOWN', hex: text('PROXY UNKNOWN\r\n'), message: {} },
    {
      name: 'UNKNOWN with anything after it',
      hex: text(`PROXY UNKNOWN ${'f'.repeat(91)}\r\n`),
      message: {},
    },
    { name: 'version 2, TCP4', hex: `${SIGNATURE} 21 11 00 0c ${tcp4}`, message: { addresses } },
    { name: 'version 2, TCP6', hex: `${SIGNATURE} 21 21 00 24 ${tcp6}`, message: { addresses: addresses6 } },
    {
      name: 'version 2 with TLVs',
      hex: `${SIGNATURE} 21 11 00 13 ${tcp4} 04 00 04 00 00 00 00`,
      message: { addresses },
    },
    {
      name: 'version 2 with all the TLVs there is room for',
      hex: `${SIGNATURE} 21 11 ff ff ${tcp4} ${'00'.repeat(65_535 - 12)}`,
      message: { addresses },
    },
    { name: 'version 2, LOCAL', hex: `${SIGNATURE} 20 00 00 00`, message: {} },
    { name: 'version 2, LOCAL with addresses', hex: `${SIGNATURE} 20 11 00 0c ${tcp4}`, message: {} },
    { name: 'version 2, UDP', hex: `${SIGNATURE} 21 12 00 0c ${tcp4}`, message: {} },
    { name: 'version 2, an unknown family', hex: `${SIGNATURE} 21 f1 00 01 00`, message: {} },
  ],
  faults: [
    ['SOCKS', '05 01 00', 'ERR_SOCKS_PROXY_HEADER'],
    ['almost version 1', text('PROXYTCP4'), 'ERR_SOCKS_PROXY_HEADER'],
    ['108 bytes', text(`PROXY UNKNOWN ${'f'.repeat(92)}\r\n`), 'ERR_SOCKS_PROXY_HEADER'],
    ['108 bytes without an end', text(`PROXY UNKNOWN ${'f'.repeat(94)}`), 'ERR_SOCKS_PROXY_HEADER'],
    ['LF alone', text('PROXY UNKNOWN\n'), 'ERR_SOCKS_PROXY_HEADER'],
    ['IPv6 as TCP4', text('PROXY TCP4 ::1 ::1 1 2\r\n'), 'ERR_SOCKS_PROXY_HEADER'],
    ['a name', text('PROXY TCP4 localhost 192.0.2.1 1 2\r\n'), 'ERR_SOCKS_PROXY_HEADER'],
    ['port 65536', text('PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n'), 'ERR_SOCKS_PROXY_HEADER'],
    ['port 080', text('PROXY TCP4 192.0.2.1 192.0.2.2 080 2\r\n'), 'ERR_SOCKS_PROXY_HEADER'],
    ['two blanks', text('PROXY TCP4  192.0.2.1 192.0.2.2 80 2\r\n'), 'ERR_SOCKS_PROXY_HEADER'],
    ['too few words', text('PROXY TCP4 192.0.2.1 192.0.2.2 80\r\n'), 'ERR_SOCKS_PROXY_HEADER'],
    ['version 3', `${SIGNATURE} 31 11 00 0c`, 'ERR_SOCKS_PROXY_HEADER'],
    ['a command to come', `${SIGNATURE} 22 11 00 0c`, 'ERR_SOCKS_PROXY_HEADER'],
    ['too short for TCP4', `${SIGNATURE} 21 11 00 0b`, 'ERR_SOCKS_PROXY_HEADER'],
    ['too short for TCP6', `${SIGNATURE} 21 21 00 23`, 'ERR_SOCKS_PROXY_HEADER'],
  ],
});

suite('values that cannot be encoded throw a RangeError', () => {
  const rows: readonly (readonly [string, () => unknown])[] = [
    ['a name of 256', () => encodeAddress(named('a'.repeat(256)))],
    ['a name of 128 letters of two bytes', () => encodeAddress(named('ä'.repeat(128)))],
    ['an IPv4 address that is none', () => encodeAddress({ type: 1, host: '1.2.3', port: 1 })],
    ['an IPv6 address as IPv4', () => encodeAddress({ type: 1, host: '::1', port: 1 })],
    ['an IPv4 address as IPv6', () => encodeAddress({ type: 4, host: '127.0.0.1', port: 1 })],
    ['port 65536', () => encodeAddress(named('a', 65_536))],
    ['port -1', () => encodeAddress(named('a', -1))],
    ['half a port', () => encodeAddress(named('a', 0.5))],
    ['a password of 256', () => encodeCredentials({ username: 'a', password: 'b'.repeat(256) })],
    ['IPv6 in SOCKS4', () => encodeSocks4Request({ command: 1, destination: ipv6, userId: '' })],
    [
      '0.0.0.7 in SOCKS4, which would announce a name',
      () =>
        encodeSocks4Request({ command: 1, destination: { type: 1, host: '0.0.0.7', port: 1 }, userId: '' }),
    ],
    [
      'a NUL in a SOCKS4A name',
      () => encodeSocks4Request({ command: 1, destination: named('a\0b'), userId: '' }),
    ],
    ['a name in a SOCKS4 reply', () => encodeSocks4Reply({ code: 90, bound: named('a') })],
    ['a NUL in a user id', () => encodeSocks4Request({ command: 1, destination: ipv4, userId: 'a\0b' })],
    ['no method', () => encodeGreeting([])],
    ['256 methods', () => encodeGreeting(Array.from({ length: 256 }, () => 0))],
  ];
  for (const [name, run] of rows) test(name, () => assert.throws(run, RangeError));
});

test('a UDP header is read at its offset, and not beyond its end', () => {
  for (const address of [ipv4, ipv6, named('a')]) {
    const header = encodeUdpHeader({ fragment: 0, address });
    // The bytes after the end would complete it.
    const buffer = Buffer.concat([new Uint8Array(32).fill(0xff), header, header]);
    const end = 32 + header.length;
    assert.deepEqual(decodeUdpHeader(buffer, 32, end), {
      value: { fragment: 0, address },
      size: header.length,
    });
    for (let cut = 32; cut < end; cut++) assert.equal(decodeUdpHeader(buffer, 32, cut), undefined);
  }
});
