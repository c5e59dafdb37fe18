import { concat } from '../wire/bytes.ts';
import type { Decoded } from '../wire/decoded.ts';

const EMPTY = new Uint8Array(0);

/** The bytes that have arrived and are not decoded yet. */
export class Inbox {
  #bytes: Uint8Array = EMPTY;

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Adds a chunk, which is the inbox's from now on. */
  add(chunk: Uint8Array): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : concat(this.#bytes, chunk);
  }

  /** Takes the next message out; `undefined` while bytes are missing. */
  take<T>(decode: (bytes: Uint8Array) => Decoded<T> | undefined): T | undefined {
    const decoded = decode(this.#bytes);
    if (decoded === undefined) return undefined;
    this.#bytes = decoded.size === this.#bytes.length ? EMPTY : this.#bytes.subarray(decoded.size);
    return decoded.value;
  }

  /** Takes everything out. */
  drain(): Uint8Array {
    const bytes = this.#bytes;
    this.#bytes = EMPTY;
    return bytes;
  }
}
