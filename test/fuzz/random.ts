/** Pseudo-random numbers, the same for the same seed (SFC32, Chris Doty-Humphrey). */
export class Random {
  readonly #state = new Uint32Array([0, 0, 0, 1]);

  constructor(seed: number) {
    this.#state[0] = seed;
    for (let i = 0; i < 12; i++) this.#next();
  }

  /** From 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor((this.#next() / 2 ** 32) * count);
  }

  pick<T>(choices: ArrayLike<T>): T {
    return choices[this.below(choices.length)]!;
  }

  bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.below(256));
  }

  #next(): number {
    const state = this.#state;
    const [a, b, c] = [state[0]!, state[1]!, state[2]!];
    const sum = (a + b + state[3]!) >>> 0;
    state[3]!++;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + sum;
    return sum;
  }
}
