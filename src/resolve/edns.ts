import type { NameServer } from './system.ts';

/** Milliseconds for which it is believed what a server has shown. */
const BELIEVED = 600_000;

interface Shown {
  readonly knows: boolean;
  readonly until: number;
}

/** Which name servers answer queries with EDNS (RFC 6891), and which ones only those without. */
export class EdnsMemory {
  readonly #shown = new WeakMap<NameServer, Shown>();
  readonly #now: () => number;

  /** `now`: a monotonic clock in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** `undefined` where it has not shown it, or long ago. */
  knows(server: NameServer): boolean | undefined {
    const shown = this.#shown.get(server);
    return shown === undefined || this.#now() >= shown.until ? undefined : shown.knows;
  }

  note(server: NameServer, knows: boolean): void {
    // One that has answered with EDNS knows it: another query may fail, or be lost, for other reasons.
    if (knows || this.knows(server) === undefined)
      this.#shown.set(server, { knows, until: this.#now() + BELIEVED });
  }
}
