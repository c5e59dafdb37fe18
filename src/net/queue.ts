/** Something that can wait in one queue. */
export interface Waiting {
  /** The least goes first; not to be changed while it waits. */
  readonly rank: number;
  /** The queue's; less than 0 outside of it. */
  index: number;
}

/** Those who wait, the one of the least rank first: a binary heap, so that a change takes steps by the logarithm of their number. */
export class Queue<T extends Waiting> {
  readonly #heap: T[] = [];

  get size(): number {
    return this.#heap.length;
  }

  get first(): T | undefined {
    return this.#heap[0];
  }

  add(one: T): void {
    this.#rise(one, this.#heap.length);
  }

  /** Does nothing for one that does not wait. */
  delete(one: T): void {
    const { index } = one;
    if (index < 0) return;
    one.index = -1;
    const last = this.#heap.pop()!;
    if (last !== one) this.#rise(last, this.#sink(last, index));
  }

  /** Moves the place that one is to have up to where it belongs, and puts it there. */
  #rise(one: T, from: number): void {
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 1;
      if (this.#heap[above]!.rank <= one.rank) break;
      this.#put(this.#heap[above]!, index);
      index = above;
    }
    this.#put(one, index);
  }

  /** Moves it down; where it is then. */
  #sink(one: T, from: number): number {
    const heap = this.#heap;
    let index = from;
    for (let below = 2 * index + 1; below < heap.length; below = 2 * index + 1) {
      if (below + 1 < heap.length && heap[below + 1]!.rank < heap[below]!.rank) below++;
      if (heap[below]!.rank >= one.rank) break;
      this.#put(heap[below]!, index);
      index = below;
    }
    return index;
  }

  #put(one: T, index: number): void {
    this.#heap[index] = one;
    one.index = index;
  }
}
