/** Who can be on a roster, one at a time. */
export interface Member {
  /** Its place there; the roster's alone. -1 = nowhere. */
  index: number;
}

/**
 * What comes and goes with every connection, in no order. A Set would do, but for the garbage collector: when a Set has grown
 * out of its table, the old table goes on pointing to the new one, so that an old one which has lived long enough to be collected
 * seldom keeps alive all that was ever in one after it.
 */
export class Roster<T extends Member> implements Iterable<T> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  add(member: T): void {
    member.index = this.#members.push(member) - 1;
  }

  /** One that is not there is left alone. */
  delete(member: T): void {
    const { index } = member;
    if (index < 0) return;
    member.index = -1;
    const last = this.#members.pop()!;
    if (last === member) return;
    this.#members[index] = last;
    last.index = index;
  }

  /** Those that are there now, even if some come or go meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#members].values();
  }
}
