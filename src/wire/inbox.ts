import type { Decoded } from './decoded.ts';

const EMPTY = new Uint8Array(0);

/** Bytes that have arrived and are not decoded yet. */
export class Inbox {
  #bytes: Uint8Array = EMPTY;
  /**
   * The buffer for bytes that arrived in several chunks, with spare room: adding a chunk does not copy all
   * the others.
   */
  #store: Uint8Array = EMPTY;
  #end = 0;

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Adds a chunk, which then belongs to the inbox. */
  add(chunk: Uint8Array): void {
    if (this.#bytes.length === 0) {
      this.#use(chunk);
      return;
    }
    if (chunk.length === 0) return;
    const size = this.#bytes.length + chunk.length;
    if (this.#store.length - this.#end < chunk.length) {
      const store = new Uint8Array(2 * size);
      store.set(this.#bytes);
      this.#end = this.#bytes.length;
      this.#store = store;
    }
    this.#store.set(chunk, this.#end);
    this.#end += chunk.length;
    this.#bytes = this.#store.subarray(this.#end - size, this.#end);
  }

  /** Removes and returns the next message; `undefined` while bytes are missing. */
  take<T>(decode: (bytes: Uint8Array) => Decoded<T> | undefined): T | undefined {
    const decoded = decode(this.#bytes);
    if (decoded === undefined) return undefined;
    if (decoded.size === this.#bytes.length) this.#use(EMPTY);
    else this.#bytes = this.#bytes.subarray(decoded.size);
    return decoded.value;
  }

  /** Removes and returns all bytes. */
  drain(): Uint8Array {
    const bytes = this.#bytes;
    this.#use(EMPTY);
    return bytes;
  }

  #use(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#store = EMPTY;
    this.#end = 0;
  }
}
