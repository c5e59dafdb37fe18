import type { NameServer } from './system.ts';

/** Milliseconds for which a server's behaviour is remembered. */
const BELIEVED = 600_000;

interface Shown {
  readonly knows: boolean;
  readonly until: number;
}

/** Remembers which name servers support EDNS (RFC 6891), and which ones only answer queries without it. */
export class EdnsMemory {
  readonly #shown = new WeakMap<NameServer, Shown>();
  readonly #now: () => number;

  /** `now`: a monotonic clock in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** `undefined` where it is unknown, or was learned too long ago. */
  knows(server: NameServer): boolean | undefined {
    const shown = this.#shown.get(server);
    return shown === undefined || this.#now() >= shown.until ? undefined : shown.knows;
  }

  note(server: NameServer, knows: boolean): void {
    // A server that has answered with EDNS supports it: a later query can fail or be lost for other reasons.
    if (knows || this.knows(server) === undefined)
      this.#shown.set(server, { knows, until: this.#now() + BELIEVED });
  }
}
