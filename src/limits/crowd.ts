/**
 * Members that compete for a scarce resource, in nested groups: each member is in one group at every level,
 * widest first. Groups at the same level count equally, however many members they have.
 */
export class Crowd<T> {
  size = 0;
  readonly #name: string;
  readonly #within: Crowd<T> | undefined;
  /** The first is the next to have a turn. */
  #groups: Map<string, Crowd<T>> | undefined;
  /** Oldest first. */
  #members: Set<T> | undefined;

  constructor(name = '', within?: Crowd<T>) {
    this.#name = name;
    this.#within = within;
  }

  /** Returns the innermost group, to call `leave` on. */
  join(groups: readonly string[], member: T, level = 0): Crowd<T> {
    this.size++;
    if (level < groups.length) return this.#group(groups[level]!).join(groups, member, level + 1);
    (this.#members ??= new Set()).add(member);
    return this;
  }

  /** Call it on the group that `join` returned. */
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

  /**
   * The next member: groups take turns, and so do the groups within them. `passed` is called for each of its
   * groups, widest first.
   */
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

  /**
   * The group that gives way: at each level the largest, and among equally large ones the one with the
   * highest `rank`.
   */
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
