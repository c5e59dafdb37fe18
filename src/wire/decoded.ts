/** A message read from the front of a buffer, and how many bytes it took. A decoder answers `undefined` while bytes are missing. */
export interface Decoded<T> {
  readonly value: T;
  readonly size: number;
}
