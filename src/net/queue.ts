/** An item that can wait in one queue. */
export interface Waiting {
  /** The lowest comes first; must not change while it waits. */
  readonly rank: number;
  /** Maintained by the queue; negative outside it. */
  index: number;
}

/** The waiting items, lowest rank first: a binary heap, so that changes take logarithmic time. */
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

  /** Does nothing for an item that is not waiting. */
  delete(one: T): void {
    const { index } = one;
    if (index < 0) return;
    one.index = -1;
    const last = this.#heap.pop()!;
    if (last !== one) this.#rise(last, this.#sink(last, index));
  }

  /** Moves the slot for an item up to its position, and stores it there. */
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

  /** Moves the slot down, and returns its position. */
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
