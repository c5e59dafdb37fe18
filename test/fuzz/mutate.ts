import type { Random } from './random.ts';

/** Maximum size of an input. */
export const SIZE_LIMIT = 4096;
/** Boundary values, and codes of the protocols. */
const INTERESTING = [0, 1, 2, 3, 4, 5, 10, 13, 16, 32, 64, 90, 127, 128, 129, 200, 254, 255];

export interface Material {
  /** Inputs to take pieces from; never empty. */
  readonly others: readonly Uint8Array[];
  readonly tokens: readonly Uint8Array[];
}

/** Returns a copy of the input with a few changes. */
export function mutate(input: Uint8Array, material: Material, random: Random): Uint8Array {
  let changed = input;
  for (let left = 1 << random.below(4); left > 0; left--) {
    changed = random.pick(MUTATIONS)(changed, random, material);
  }
  return changed.subarray(0, SIZE_LIMIT);
}

type Mutation = (input: Uint8Array, random: Random, material: Material) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [
  function flipBit(input, random) {
    return change(input, random, (byte) => byte ^ (1 << random.below(8)));
  },
  function setByte(input, random) {
    return change(input, random, () => random.below(256));
  },
  function setInteresting(input, random) {
    return change(input, random, () => random.pick(INTERESTING));
  },
  function count(input, random) {
    return change(input, random, (byte) => byte + random.pick([-2, -1, 1, 2]));
  },
  function insertBytes(input, random) {
    return replace(input, random.below(input.length + 1), 0, random.bytes(1 + random.below(8)));
  },
  function insertRun(input, random) {
    const run = new Uint8Array(1 << random.below(11)).fill(random.pick(INTERESTING));
    return replace(input, random.below(input.length + 1), 0, run);
  },
  function remove(input, random) {
    const { start, size } = piece(input, random);
    return replace(input, start, size, []);
  },
  function repeat(input, random) {
    const { start, size } = piece(input, random);
    return replace(input, start, 0, input.subarray(start, start + size));
  },
  function move(input, random) {
    const { start, size } = piece(input, random);
    return replace(input, random.below(input.length + 1), size, input.subarray(start, start + size));
  },
  function truncate(input, random) {
    return input.subarray(0, random.below(input.length + 1));
  },
  function insertToken(input, random, { tokens }) {
    if (tokens.length === 0) return input;
    return replace(input, random.below(input.length + 1), 0, random.pick(tokens));
  },
  function overwriteByToken(input, random, { tokens }) {
    if (tokens.length === 0) return input;
    const token = random.pick(tokens);
    return replace(input, random.below(input.length + 1), token.length, token);
  },
  function cross(input, random, { others }) {
    const other = random.pick(others);
    const end = random.below(input.length + 1);
    return replace(input, end, input.length, other.subarray(random.below(other.length + 1)));
  },
  function borrow(input, random, { others }) {
    const other = random.pick(others);
    const { start, size } = piece(other, random);
    return replace(input, random.below(input.length + 1), 0, other.subarray(start, start + size));
  },
];

function change(input: Uint8Array, random: Random, to: (byte: number) => number): Uint8Array {
  if (input.length === 0) return input;
  const changed = Uint8Array.from(input); // `slice` of a Buffer would not copy
  const at = random.below(input.length);
  changed[at] = to(changed[at]!);
  return changed;
}

function replace(input: Uint8Array, start: number, size: number, by: ArrayLike<number>): Uint8Array {
  const end = Math.min(start + size, input.length);
  const changed = new Uint8Array(input.length - (end - start) + by.length);
  changed.set(input.subarray(0, start));
  changed.set(by, start);
  changed.set(input.subarray(end), start + by.length);
  return changed;
}

/** A random piece of an input; short ones are more likely. */
function piece(input: Uint8Array, random: Random): { start: number; size: number } {
  const start = random.below(input.length + 1);
  const size = random.below(Math.min(1 << random.below(10), input.length - start) + 1);
  return { start, size };
}
