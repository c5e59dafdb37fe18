/** Copies of the pieces of a stream, cut at these positions. */
export function cut(stream: Uint8Array, places: Uint8Array): Uint8Array[] {
  const cuts = [...places].map((place) => place % (stream.length + 1)).toSorted((a, b) => a - b);
  return [0, ...cuts].map((from, i) => Uint8Array.from(stream.subarray(from, cuts[i])));
}

/** Copies of the pieces of a stream, all of one size. */
export function pieces(stream: Uint8Array, size: number): Uint8Array[] {
  const count = Math.ceil(stream.length / size);
  return Array.from({ length: count }, (_, i) => Uint8Array.from(stream.subarray(i * size, (i + 1) * size)));
}
