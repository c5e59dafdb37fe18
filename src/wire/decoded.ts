/**
 * A message decoded from the start of a buffer, and its size in bytes. Decoders return `undefined` while
 * bytes are missing.
 */
export interface Decoded<T> {
  readonly value: T;
  readonly size: number;
}
