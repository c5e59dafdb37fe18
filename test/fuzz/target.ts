import { inspect, isDeepStrictEqual } from 'node:util';

/** A part of garter, and its guarantees for every input. */
export interface Target {
  readonly name: string;
  /**
   * Mutated inputs in a full run of the tests: about two seconds' worth; a tenth of that in every other run.
   */
  readonly testRuns: number;
  /** The initial inputs. */
  readonly seeds: readonly Uint8Array[];
  /** Tokens with a meaning in this format, for use by mutations. */
  readonly tokens?: readonly Uint8Array[];
  /**
   * Throws when a guarantee is violated. Otherwise returns the kind of outcome, one of a few hundred at most:
   * an input with a new outcome is worth as much as one that reaches new code. Must not modify the input.
   */
  run(input: Uint8Array): string | Promise<string>;
}

/** A guarantee that was violated. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
  /** The same text for every input that violates it. */
  readonly promise: string;

  constructor(promise: string, details: string) {
    super(details === '' ? promise : `${promise}: ${details}`);
    this.promise = promise;
  }
}

/** Asserts that a guarantee holds. */
export function keeps(promise: string, condition: boolean, details: () => string = () => ''): void {
  if (!condition) throw new BrokenPromise(promise, details());
}

/** Asserts that two values are deeply equal. */
export function same(promise: string, actual: unknown, expected: unknown): void {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new BrokenPromise(promise, `${inspect(actual, DEEP)} and not ${inspect(expected, DEEP)}`);
}

const DEEP = { depth: 9, breakLength: Infinity } as const;

/** The bytes of hexadecimal digits; spaces are ignored. */
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
