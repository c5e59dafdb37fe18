import type { Decoded } from '../../../src/wire/decoded.ts';
import { WireError } from '../../../src/wire/error.ts';
import {
  decodeCredentials,
  decodePasswordStatus,
  encodeCredentials,
  encodePasswordStatus,
} from '../../../src/wire/password.ts';
import { decodeProxyHeader } from '../../../src/wire/proxy-header.ts';
import {
  decodeSocks4Reply,
  decodeSocks4Request,
  encodeSocks4Reply,
  encodeSocks4Request,
} from '../../../src/wire/socks4.ts';
import {
  decodeGreeting,
  decodeMethod,
  decodeSocks5Reply,
  decodeSocks5Request,
  encodeGreeting,
  encodeMethod,
  encodeSocks5Reply,
  encodeSocks5Request,
} from '../../../src/wire/socks5.ts';
import { decodeUdpHeader, encodeUdpHeader } from '../../../src/wire/udp.ts';
import { hex, keeps, same, utf8 } from '../target.ts';
import type { Target } from '../target.ts';

interface Codec<T> {
  readonly name: string;
  readonly decode: (bytes: Uint8Array) => Decoded<T> | undefined;
  readonly encode?: (value: T) => Uint8Array;
  /** True for a value that does not say all that was read: it is written in another way, or not at all. */
  readonly isLossy?: (value: T) => boolean;
  /** The byte that is not looked at, or not kept. */
  readonly ignored?: number;
  readonly seeds: readonly string[];
}

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
    seeds: ['00 5a 01bb c0000201', '00 5b 0000 00000000'],
  }),
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

/** A decoder has three outcomes and stands by them when more bytes come; its encoder is the inverse. */
function codec<T>({ name, decode, encode, isLossy, ignored, seeds }: Codec<T>): Target {
  return {
    name: `wire-${name}`,
    testRuns: 20_000,
    seeds: seeds.map(hex),
    tokens: ['example.com', 'ü', '\0', '\0\0\0\x01', 'TCP4 ', '::1', '\r\n', '65535'].map(utf8),
    run(input) {
      const outcome = outcomeOf(decode, input);
      const behind = Buffer.concat([input, hex('00ff05')]);
      if (outcome !== undefined) {
        same('what comes behind changes nothing', outcomeOf(decode, behind), outcome);
        same('what comes behind changes nothing', behind.subarray(0, input.length), Buffer.from(input));
      }
      if (outcome === undefined || typeof outcome === 'string') {
        const early = beginnings(input).find((bytes) => {
          const earlier = outcomeOf(decode, bytes);
          return earlier !== undefined && earlier !== outcome;
        });
        keeps('a beginning comes to nothing else', early === undefined, () => `${early?.length} bytes`);
        return outcome ?? 'more';
      }
      const { value, size } = outcome;
      keeps('a message takes bytes of the input', size > 0 && size <= input.length);
      const message = input.subarray(0, size);
      same('a message is whole without what follows', outcomeOf(decode, message), outcome);
      const early = beginnings(message).find((bytes) => outcomeOf(decode, bytes) !== undefined);
      keeps('a beginning of a message is none', early === undefined, () => `${early?.length} bytes`);
      if (encode === undefined) return 'message';

      const written = encoded(encode, value);
      const isLost = isLossy?.(value) === true;
      if (written === undefined && isLost) return 'too long';
      same('written and read, it is the same', written && outcomeOf(decode, written), {
        value,
        size: written?.length,
      });
      const normal = Uint8Array.from(message);
      if (ignored !== undefined) normal[ignored] = written![ignored]!;
      if (!isLost) same('it is written as it came', written, normal);
      return 'message';
    },
  };
}

/** A message, `undefined`, or the code of a WireError. */
function outcomeOf<T>(
  decode: (bytes: Uint8Array) => Decoded<T> | undefined,
  bytes: Uint8Array,
): Decoded<T> | string | undefined {
  try {
    return decode(bytes);
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
}

/** `undefined` when it does not fit. */
function encoded<T>(encode: (value: T) => Uint8Array, value: T): Uint8Array | undefined {
  try {
    return encode(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Shorter ones, among them all where something is decided: heads, and the last byte. */
function beginnings(bytes: Uint8Array): Uint8Array[] {
  const { length } = bytes;
  const sizes = Array.from({ length: Math.min(length, 24) }, (_, i) => i);
  return [...sizes, length >>> 1, length - 1]
    .filter((size) => size >= 0 && size < length)
    .map((size) => bytes.subarray(0, size));
}
