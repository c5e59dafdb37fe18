import {
  decodeCredentials,
  decodePasswordStatus,
  encodeCredentials,
  encodePasswordStatus,
} from '../../../src/wire/password.ts';
import { decodeProxyHeader } from '../../../src/wire/proxy-header.ts';
import {
  decodeSocks4Refusal,
  decodeSocks4Reply,
  decodeSocks4Request,
  encodeSocks4Reply,
  encodeSocks4Request,
} from '../../../src/wire/socks4.ts';
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
} from '../../../src/wire/socks5.ts';
import { decodeUdpHeader, encodeUdpHeader } from '../../../src/wire/udp.ts';
import { codec } from '../codec.ts';
import type { Target } from '../target.ts';

const IPV4 = '01 c0000201 01bb';
const IPV6 = '04 20010db8000000000000000000000001 0035';
const NAME = '03 0b 6578616d706c652e636f6d 0050';
const SIGNATURE = '0d0a0d0a000d0a515549540a';

export const targets: readonly Target[] = [
  codec({
    name: 'greeting',
    decode: decodeGreeting,
    encode: encodeGreeting,
    seeds: ['050100', '05020002', '0503000102'],
  }),
  codec({ name: 'method', decode: decodeMethod, encode: encodeMethod, seeds: ['0500', '05ff'] }),
  codec({
    name: 'credentials',
    decode: decodeCredentials,
    encode: encodeCredentials,
    seeds: ['01 05 616c696365 06 736563726574', '01 00 00', '01 02 c3bc 01 78'],
  }),
  codec({
    name: 'password-status',
    decode: decodePasswordStatus,
    encode: encodePasswordStatus,
    ignored: 0,
    seeds: ['0100', '0501'],
  }),
  codec({
    name: 'socks5-request',
    decode: decodeSocks5Request,
    encode: encodeSocks5Request,
    ignored: 2,
    seeds: [`050100 ${IPV4}`, `050200 ${IPV6}`, `05f000 ${NAME}`],
  }),
  codec({
    name: 'socks5-reply',
    decode: decodeSocks5Reply,
    encode: encodeSocks5Reply,
    ignored: 2,
    seeds: [`050000 ${IPV4}`, `050500 ${IPV6}`, `050000 ${NAME}`],
  }),
  codec({ name: 'socks5-refusal', decode: decodeSocks5Refusal, seeds: ['0501', '0500'] }),
  codec({
    name: 'socks4-request',
    decode: decodeSocks4Request,
    encode: encodeSocks4Request,
    isLossy: ({ userId }) => userId.includes('\u{FFFD}'),
    ignored: 7,
    seeds: ['04 01 01bb c0000201 6a6f65 00', '04 02 0050 00000001 00 6578616d706c652e636f6d 00'],
  }),
  codec({
    name: 'socks4-reply',
    decode: decodeSocks4Reply,
    encode: encodeSocks4Reply,
    ignored: 0,
    seeds: ['00 5a 01bb c0000201', '04 5b 0000 00000000'],
  }),
  codec({ name: 'socks4-refusal', decode: decodeSocks4Refusal, seeds: ['005b', '045c'] }),
  codec({
    name: 'udp-header',
    decode: (bytes) => decodeUdpHeader(bytes),
    encode: encodeUdpHeader,
    seeds: [`000000 ${IPV4} 61`, `000083 ${IPV6} 61`, `000001 ${NAME} 61`],
  }),
  codec({
    name: 'proxy-header',
    decode: decodeProxyHeader,
    seeds: [
      Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n').toString('hex'),
      Buffer.from('PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 1 65535\r\n').toString('hex'),
      Buffer.from('PROXY UNKNOWN\r\n').toString('hex'),
      `${SIGNATURE} 2111 000c c0000201 c6336401 dc0401bb`,
      `${SIGNATURE} 2121 0024 20010db8${'00'.repeat(12)} 20010db8${'00'.repeat(12)} dc0401bb`,
      `${SIGNATURE} 2000 0000`,
    ],
  }),
];
