import { ResolveError } from './error.ts';

/** Lets `width` pieces of work go on at once and `length` more wait in line; the next one is turned away with EBUSY. */
export class Line {
  readonly #width: number;
  readonly #length: number;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(width: number, length: number) {
    this.#width = width;
    this.#length = length;
  }

  async through<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy < this.#width) this.#busy++;
    else await this.#wait();
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy--;
      else next();
    }
  }

  /** Ends when somebody who is done hands over the place. */
  #wait(): Promise<void> {
    if (this.#waiting.length >= this.#length) {
      throw new ResolveError('EBUSY', `${this.#width} queries are under way and ${this.#length} wait`);
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
