/** The shortest reassembly timer that RFC 1928 section 7 allows, in milliseconds. */
const REASSEMBLY_TIMEOUT = 5000;
/** The largest UDP datagram; a larger one could not be sent on. */
const REASSEMBLY_LIMIT = 65_507;
/** Bytes of overhead per fragment. */
const FRAGMENT = 256;
const END_OF_SEQUENCE = 0x80;

/**
 * The reassembly queue of one association (RFC 1928 section 7): fragments 1, 2, 3, … of one datagram to one
 * destination, the last with the high bit set. Any fragment that does not continue the sequence abandons it.
 * `now` is in milliseconds.
 */
export class Reassembly {
  #parts: Uint8Array[] = [];
  #size = 0;
  #destination = '';
  #startedAt = 0;

  /** Bytes of memory in use. */
  get held(): number {
    return this.#size + this.#parts.length * FRAGMENT;
  }

  /** Drops fragments that were not completed in time; returns the change of `held`. */
  expire(now: number): number {
    const before = this.held;
    if (this.#parts.length > 0 && now - this.#startedAt > REASSEMBLY_TIMEOUT) this.#abandon();
    return this.held - before;
  }

  /** Adds a fragment (FRAG is not 0); returns the data of the complete datagram when it was the last one. */
  add(frag: number, destination: string, data: Uint8Array, now: number): Uint8Array | undefined {
    const position = frag & ~END_OF_SEQUENCE;
    this.expire(now);
    if (position === this.#parts.length && position > 0 && destination === this.#destination)
      return undefined; // a repeat of the last one
    if (position < this.#parts.length + 1 || destination !== this.#destination) this.#abandon();
    if (position !== this.#parts.length + 1 || this.#size + data.length > REASSEMBLY_LIMIT) {
      this.#abandon();
      return undefined;
    }
    if (position === 1) {
      this.#startedAt = now;
      this.#destination = destination;
    }
    this.#parts.push(data.slice());
    this.#size += data.length;
    return (frag & END_OF_SEQUENCE) === 0 ? undefined : this.#whole();
  }

  #whole(): Uint8Array {
    const whole = new Uint8Array(this.#size);
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    this.#abandon();
    return whole;
  }

  #abandon(): void {
    this.#parts = [];
    this.#size = 0;
  }
}
