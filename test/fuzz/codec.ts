import type { Decoded } from '../../src/wire/decoded.ts';
import { WireError } from '../../src/wire/error.ts';
import { hex, keeps, same, utf8 } from './target.ts';
import type { Target } from './target.ts';

/** A decoder, and the encoder that is its inverse. */
export interface Codec<T> {
  readonly name: string;
  readonly decode: (bytes: Uint8Array) => Decoded<T> | undefined;
  readonly encode?: (value: T) => Uint8Array;
  /**
   * True for a value that does not contain everything that was decoded: it is encoded differently, or not at
   * all.
   */
  readonly isLossy?: (value: T) => boolean;
  /** The index of a byte that is ignored or not kept. */
  readonly ignored?: number;
  /** Checks further guarantees of a message, and returns its kind. */
  readonly examine?: (value: T) => string;
  /** In hexadecimal. */
  readonly seeds: readonly string[];
  readonly tokens?: readonly string[];
}

const TOKENS = ['example.com', 'ü', '\0', '\0\0\0\x01', 'TCP4 ', '::1', '\r\n', '65535'];

/** A decoder has three outcomes and keeps them when more bytes arrive; its encoder is the inverse. */
export function codec<T>(of: Codec<T>): Target {
  const { name, decode, encode, isLossy, ignored, examine, seeds, tokens = TOKENS } = of;
  return {
    name: `wire-${name}`,
    testRuns: 20_000,
    seeds: seeds.map(hex),
    tokens: tokens.map(utf8),
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
      const kind = examine?.(value) ?? 'message';
      if (encode === undefined) return kind;

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
      return kind;
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

/** `undefined` when the value cannot be encoded. */
function encoded<T>(encode: (value: T) => Uint8Array, value: T): Uint8Array | undefined {
  try {
    return encode(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Prefixes of the bytes, including all decisive ones: the heads, and all but the last byte. */
function beginnings(bytes: Uint8Array): Uint8Array[] {
  const { length } = bytes;
  const sizes = Array.from({ length: Math.min(length, 24) }, (_, i) => i);
  return [...sizes, length >>> 1, length - 1]
    .filter((size) => size >= 0 && size < length)
    .map((size) => bytes.subarray(0, size));
}
