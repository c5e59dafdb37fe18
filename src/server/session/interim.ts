import type { Session } from './session.ts';

/** Looks per interval, so that the records of sessions that began together are spread. */
const LOOKS = 60;
/** The fewest milliseconds between two looks. */
const SHORTEST = 250;
/** Spreads consecutive numbers evenly over 0 to 1. */
const GOLDEN = 0.618_033_988_749_895;

type Lasting = Pick<Session, 'number' | 'phase' | 'startedAt'>;

/**
 * Records the sessions that are relayed and at least an interval old, once in each interval. One timer looks at all of
 * them, and sessions keep nothing for it.
 */
export class Interim<T extends Lasting> implements Disposable {
  readonly #sessions: Iterable<T>;
  readonly #record: (session: T) => void;
  #interval: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looked = 0;

  constructor(sessions: Iterable<T>, record: (session: T) => void) {
    this.#sessions = sessions;
    this.#record = record;
  }

  /** Milliseconds; `undefined`: none. */
  use(interval: number | undefined): void {
    if (interval === this.#interval) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#interval = interval;
    if (interval === undefined) return;
    this.#looked = performance.now();
    const every = Math.max(interval / LOOKS, SHORTEST);
    this.#timer = setInterval(() => this.look(performance.now()), every).unref();
  }

  /** Records those that have become due since the last look. */
  look(now: number): void {
    const interval = this.#interval;
    if (interval === undefined) return;
    for (const session of this.#sessions) {
      if (session.phase !== 'relay' || now - session.startedAt < interval) continue;
      const shift = (session.number * GOLDEN) % 1;
      const turn = Math.floor(now / interval + shift);
      if (turn > Math.floor(this.#looked / interval + shift)) this.#record(session);
    }
    this.#looked = now;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
