import { COST, parseHash } from './argon2.ts';
import type { PasswordHash } from './argon2.ts';

/** Times of the most expensive hash that are kept. */
const KEPT = 16;

type Cost = Omit<PasswordHash, 'salt' | 'tag'>;

/** The costs of the users' hashes, and the time of the most expensive one under the current load. */
export class Costs {
  /** The most common cost; in a tie, the lower one. */
  readonly common: Cost;
  readonly dearest: Cost;
  /** Whether the costs differ. */
  readonly differ: boolean;
  #times: number[] = [];

  /** `before`: the costs that these replace. */
  constructor(hashes: Iterable<string>, before?: Costs) {
    const counts = new Map<string, { readonly cost: Cost; count: number }>();
    for (const hash of hashes) {
      const text = parametersOf(hash);
      const seen = counts.get(text);
      if (seen === undefined) counts.set(text, { cost: costOf(hash), count: 1 });
      else seen.count++;
    }
    const all = [...counts.values()].toSorted((a, b) => workOf(a.cost) - workOf(b.cost));
    this.common = all.toSorted((a, b) => b.count - a.count)[0]?.cost ?? COST;
    this.dearest = all.at(-1)?.cost ?? COST;
    this.differ = all.length > 1;
    if (before !== undefined && workOf(before.dearest) === workOf(this.dearest)) this.#times = before.#times;
  }

  /** Records the milliseconds that a hash took. */
  took(hash: string, time: number): void {
    if (workOf(costOf(hash)) !== workOf(this.dearest)) return;
    this.#times.push(time);
    if (this.#times.length > KEPT) this.#times.shift();
  }

  /**
   * Milliseconds that the most expensive hash rarely exceeds: the second longest of the last times.
   * `undefined` before the first.
   */
  get time(): number | undefined {
    return this.#times
      .toSorted((a, b) => b - a)
      .slice(0, 2)
      .at(-1);
  }
}

/** `m=19456,t=2,p=1`. */
function parametersOf(hash: string): string {
  return hash.split('$', 4)[3] ?? '';
}

function costOf(hash: string): Cost {
  const parsed = parseHash(hash);
  if (typeof parsed === 'string') return COST;
  const { memory, passes, parallelism } = parsed;
  return { memory, passes, parallelism };
}

function workOf({ memory, passes }: Cost): number {
  return memory * passes;
}
