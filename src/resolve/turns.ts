export interface TurnsOptions {
  /** Tasks at a time. */
  readonly running: number;
  /** Tasks that may wait for their turn. */
  readonly waiting: number;
}

/** True when it is its turn; false when it has lost its place in the line. */
type Turn = (mine: boolean) => void;

/**
 * Lets a few tasks run at a time and some more wait in line. Sources take turns, and when the line is full the source that
 * has most in it gives way to one that has less: a flood holds up itself.
 */
export class Turns {
  readonly #limit: number;
  readonly #waiting: number;
  /** Who waits, by source; the source at the front is next. */
  readonly #lines = new Map<string, Turn[]>();
  #length = 0;
  #running = 0;

  constructor({ running, waiting }: TurnsOptions) {
    this.#limit = running;
    this.#waiting = waiting;
  }

  /** Runs the task when its turn comes; `undefined` when the line has no place for it. */
  async run<T>(source: string, task: () => Promise<T>): Promise<T | undefined> {
    if (this.#running < this.#limit) this.#running++;
    else if (!(await this.#wait(source))) return undefined;
    try {
      return await task();
    } finally {
      // A turn is handed on, so that nobody overtakes the line.
      const next = this.#next();
      if (next === undefined) this.#running--;
      else next(true);
    }
  }

  async #wait(source: string): Promise<boolean> {
    const line = this.#lines.get(source) ?? [];
    if (this.#length >= this.#waiting && !this.#makeRoom(line.length)) return false;
    return new Promise((turn) => {
      this.#length++;
      line.push(turn);
      this.#lines.set(source, line);
    });
  }

  /** Takes a place from the longest line for one of so many, if that is shorter. */
  #makeRoom(mine: number): boolean {
    const [longest] = [...this.#lines.values()].toSorted((a, b) => b.length - a.length);
    if (longest === undefined || longest.length <= mine + 1) return false;
    this.#length--;
    longest.pop()!(false);
    return true;
  }

  #next(): Turn | undefined {
    for (const [source, line] of this.#lines) {
      const turn = line.shift();
      // The source goes to the end, if it has more.
      this.#lines.delete(source);
      if (line.length > 0) this.#lines.set(source, line);
      this.#length--;
      return turn;
    }
    return undefined;
  }
}
