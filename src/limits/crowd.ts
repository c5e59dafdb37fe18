/**
 * Members that share something scarce, in nested groups: each belongs to one group at every level, the widest first. Groups of one
 * level count alike, however many members they have.
 */
export class Crowd<T> {
  size = 0;
  readonly #name: string;
  readonly #within: Crowd<T> | undefined;
  /** The first is the next that has a turn. */
  #groups: Map<string, Crowd<T>> | undefined;
  /** The oldest first. */
  #members: Set<T> | undefined;

  constructor(name = '', within?: Crowd<T>) {
    this.#name = name;
    this.#within = within;
  }

  /** The group that it is in from now on, for `leave`. */
  join(groups: readonly string[], member: T, level = 0): Crowd<T> {
    this.size++;
    if (level < groups.length) return this.#group(groups[level]!).join(groups, member, level + 1);
    (this.#members ??= new Set()).add(member);
    return this;
  }

  /** Of the group that `join` gave. */
  leave(member: T): void {
    if (this.#members?.delete(member) === true) this.#shrink();
  }

  get oldest(): T | undefined {
    const [oldest] = this.#members ?? [];
    return oldest;
  }

  get newest(): T | undefined {
    return [...(this.#members ?? [])].at(-1);
  }

  /** Whose turn it is: groups take turns, and the groups in them. `passed` is called for each of its groups, the widest first. */
  next(passed: (name: string) => void): T | undefined {
    const [first] = this.#groups?.values() ?? [];
    if (first !== undefined) {
      passed(first.#name);
      this.#groups!.delete(first.#name);
      this.#groups!.set(first.#name, first);
      return first.next(passed);
    }
    const { oldest } = this;
    if (oldest !== undefined) this.leave(oldest);
    return oldest;
  }

  /** Where somebody has to give way: the largest group in the largest group. Of several as large, the one that `rank` puts highest. */
  largest(rank: (name: string) => number): Crowd<T> {
    if (this.#groups === undefined || this.#groups.size === 0) return this;
    return largestOf(this.#groups, rank).largest(rank);
  }

  #shrink(): void {
    this.size--;
    if (this.#within === undefined) return;
    if (this.size === 0) this.#within.#groups!.delete(this.#name);
    this.#within.#shrink();
  }

  #group(name: string): Crowd<T> {
    const groups = (this.#groups ??= new Map());
    let group = groups.get(name);
    if (group === undefined) {
      group = new Crowd(name, this);
      groups.set(name, group);
    }
    return group;
  }
}

function largestOf<T>(groups: ReadonlyMap<string, Crowd<T>>, rank: (name: string) => number): Crowd<T> {
  let largest: Crowd<T> | undefined;
  let highest: number | undefined;
  let nameOfLargest = '';
  for (const [name, group] of groups) {
    if (largest !== undefined && group.size < largest.size) continue;
    if (largest === undefined || group.size > largest.size) {
      highest = undefined;
    } else {
      highest ??= rank(nameOfLargest);
      const rival = rank(name);
      if (rival <= highest) continue;
      highest = rival;
    }
    [largest, nameOfLargest] = [group, name];
  }
  return largest!;
}
