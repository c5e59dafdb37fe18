import { inspect, isDeepStrictEqual } from 'node:util';

/** A piece of garter, and what it promises whatever it is given. */
export interface Target {
  readonly name: string;
  /** Changed inputs in a run of all tests: about two seconds' worth; a tenth of that in every run. */
  readonly testRuns: number;
  /** Inputs to begin with. */
  readonly seeds: readonly Uint8Array[];
  /** What means something in an input; mutations put it in. */
  readonly tokens?: readonly Uint8Array[];
  /**
   * Throws when a promise is broken. Else it tells the kind of outcome, one of a few hundred at most: an input with a new
   * one is worth as much as one that reaches new code. It must not write to the input.
   */
  run(input: Uint8Array): string | Promise<string>;
}

/** A promise that garter has not kept. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
  /** The same for every input that breaks it. */
  readonly promise: string;

  constructor(promise: string, details: string) {
    super(details === '' ? promise : `${promise}: ${details}`);
    this.promise = promise;
  }
}

/** Holds a promise to a condition. */
export function keeps(promise: string, condition: boolean, details: () => string = () => ''): void {
  if (!condition) throw new BrokenPromise(promise, details());
}

/** Holds a promise that two values are deeply equal. */
export function same(promise: string, actual: unknown, expected: unknown): void {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new BrokenPromise(promise, `${inspect(actual, DEEP)} and not ${inspect(expected, DEEP)}`);
}

const DEEP = { depth: 9, breakLength: Infinity } as const;

/** The bytes of hexadecimal digits; spaces are skipped. */
export function hex(digits: string): Uint8Array {
  return Buffer.from(digits.replaceAll(' ', ''), 'hex');
}

/** The bytes of text in UTF-8. */
export function utf8(text: string): Uint8Array {
  return Buffer.from(text);
}

/** The bytes of each word. */
export function words(...lines: readonly string[]): Uint8Array[] {
  return lines.flatMap((line) => line.split(' ')).map(utf8);
}
