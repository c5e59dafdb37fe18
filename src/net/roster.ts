/** An item that can be on one roster. */
export interface RosterMember {
  /** Its position, maintained by the roster; -1 = none. */
  index: number;
}

/**
 * An unordered collection of items that come and go with every connection. A Set has a flaw with garbage
 * collection: when it outgrows its table, the old table points to the new one, so an old table that has been
 * promoted to the old generation keeps alive everything added since.
 */
export class Roster<T extends RosterMember> implements Iterable<T> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  add(member: T): void {
    member.index = this.#members.push(member) - 1;
  }

  /** Does nothing for an item that is not in it. */
  delete(member: T): void {
    const { index } = member;
    if (index < 0) return;
    member.index = -1;
    const last = this.#members.pop()!;
    if (last === member) return;
    this.#members[index] = last;
    last.index = index;
  }

  /** Iterates over a snapshot, so that items can come and go meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#members].values();
  }
}
