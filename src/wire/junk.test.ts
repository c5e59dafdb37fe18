import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Decoded } from './decoded.ts';
import { WireError } from './error.ts';
import { decodeCredentials, decodePasswordStatus } from './password.ts';
import { decodeProxyHeader } from './proxy-header.ts';
import { decodeSocks4Refusal, decodeSocks4Reply, decodeSocks4Request } from './socks4.ts';
import {
  decodeGreeting,
  decodeMethod,
  decodeSocks5Refusal,
  decodeSocks5Reply,
  decodeSocks5Request,
} from './socks5.ts';
import { decodeUdpHeader } from './udp.ts';

const decoders: readonly ((bytes: Uint8Array) => Decoded<unknown> | undefined)[] = [
  decodeGreeting,
  decodeMethod,
  decodeCredentials,
  decodePasswordStatus,
  decodeSocks5Request,
  decodeSocks5Refusal,
  decodeSocks5Reply,
  decodeSocks4Request,
  decodeSocks4Refusal,
  decodeSocks4Reply,
  decodeUdpHeader,
  decodeProxyHeader,
];

// Small numbers are versions, types and lengths: with many of them, random bytes get further into a decoder.
const byte = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 8 }) },
  fc.integer({ min: 0, max: 255 }),
);
const junk = fc.array(byte, { maxLength: 600, size: 'max' }).map((bytes) => Uint8Array.from(bytes));

for (const decode of decoders) {
  test(`${decode.name} has three outcomes, and keeps them when more bytes arrive`, () => {
    fc.assert(
      fc.property(junk, junk, (bytes, more) => {
        const outcome = outcomeOf(decode, bytes);
        if (outcome === undefined) return;
        assert.deepEqual(outcomeOf(decode, Buffer.concat([bytes, more])), outcome);
        if (typeof outcome === 'string') return;
        assert.ok(outcome.size > 0 && outcome.size <= bytes.length);
        assert.deepEqual(outcomeOf(decode, bytes.subarray(0, outcome.size)), outcome);
        assert.equal(outcomeOf(decode, bytes.subarray(0, outcome.size - 1)), undefined);
      }),
      { numRuns: 500 },
    );
  });
}

/** A message, `undefined`, or the code of a WireError; any other error fails the test. */
function outcomeOf(
  decode: (bytes: Uint8Array) => Decoded<unknown> | undefined,
  bytes: Uint8Array,
): Decoded<unknown> | string | undefined {
  try {
    return decode(bytes);
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
}
