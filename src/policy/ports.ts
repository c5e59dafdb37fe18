import type { PortRange } from './policy.ts';

/** A set of ports whose look-up takes a few steps, however many ranges there are. */
export class PortSet {
  /** The ports at which ranges alternately begin and end, ascending. */
  readonly #edges: Uint32Array;

  constructor(ranges: readonly PortRange[]) {
    this.#edges = Uint32Array.from(mergePorts(ranges).flatMap(({ first, last }) => [first, last + 1]));
  }

  has(port: number): boolean {
    return this.#edgesUpTo(port) % 2 === 1;
  }

  /** True when the set contains the whole range. */
  covers({ first, last }: PortRange): boolean {
    return this.has(first) && this.#edgesUpTo(first) === this.#edgesUpTo(last);
  }

  #edgesUpTo(port: number): number {
    let low = 0;
    let high = this.#edges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#edges[middle]! > port) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** The same ports in ascending ranges that neither overlap nor touch. */
export function mergePorts(ranges: readonly PortRange[]): PortRange[] {
  const merged: PortRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = merged.at(-1);
    if (before === undefined || range.first > before.last + 1) merged.push(range);
    else if (range.last > before.last) merged[merged.length - 1] = { first: before.first, last: range.last };
  }
  return merged;
}
