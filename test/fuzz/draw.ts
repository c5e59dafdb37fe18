/** Reads an input as a sequence of decisions. Beyond its end every number is 0 and every piece is empty. */
export class Draw {
  readonly #input: Uint8Array;
  #at = 0;

  constructor(input: Uint8Array) {
    this.#input = input;
  }

  get isOver(): boolean {
    return this.#at >= this.#input.length;
  }

  byte(): number {
    return this.#input[this.#at++] ?? 0;
  }

  word(): number {
    return this.byte() * 256 + this.byte();
  }

  /** From 0 to `count` - 1; `count` is at most 256. */
  below(count: number): number {
    return this.byte() % count;
  }

  chance(): boolean {
    return this.below(2) === 1;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** Up to `most` choices, possibly none. */
  several<T>(choices: readonly T[], most: number): T[] {
    return Array.from({ length: this.below(most + 1) }, () => this.pick(choices));
  }

  bytes(size: number): Uint8Array {
    const from = Math.min(this.#at, this.#input.length);
    this.#at += size;
    return this.#input.subarray(from, this.#at);
  }

  rest(): Uint8Array {
    return this.bytes(Infinity);
  }
}
