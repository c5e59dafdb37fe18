/**
 * HalfSipHash-2-4 with a 64-bit key and result (github.com/veorq/SipHash): without the key, colliding inputs
 * cannot be chosen. Words are 32 bits; the first word of key and result is the low one.
 */
export function halfSipHash(input: Uint8Array, key: readonly [number, number]): [number, number] {
  let v0 = key[0];
  let v1 = key[1] ^ 0xee;
  let v2 = 0x6c796765 ^ key[0];
  let v3 = 0x74656462 ^ key[1];
  const mix = (rounds: number): void => {
    for (let i = 0; i < rounds; i++) {
      v0 = (v0 + v1) | 0;
      v1 = rotate(v1, 5) ^ v0;
      v0 = rotate(v0, 16);
      v2 = (v2 + v3) | 0;
      v3 = rotate(v3, 8) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = rotate(v3, 7) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = rotate(v1, 13) ^ v2;
      v2 = rotate(v2, 16);
    }
  };
  const whole = input.length - (input.length % 4);
  for (let at = 0; at <= whole; at += 4) {
    let word = at < whole ? input[at + 3]! << 24 : input.length << 24;
    for (let i = 0; i < 3; i++) word |= (input[at + i] ?? 0) << (8 * i);
    v3 ^= word;
    mix(2);
    v0 ^= word;
  }
  v2 ^= 0xee;
  mix(4);
  const low = v1 ^ v3;
  v1 ^= 0xdd;
  mix(4);
  return [low, v1 ^ v3];
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
