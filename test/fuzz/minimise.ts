/** Milliseconds; the result after that is short enough. */
const TIME_LIMIT = 10_000;

/** Minimises an input by removing pieces, large ones first; returns the shortest that still fails. */
export async function minimise(
  input: Uint8Array,
  fails: (candidate: Uint8Array) => Promise<boolean>,
): Promise<Uint8Array> {
  const end = performance.now() + TIME_LIMIT;
  let shortest = input;
  for (let size = input.length; size >= 1; size >>>= 1) {
    for (let at = 0; at < shortest.length;) {
      if (performance.now() > end) return shortest;
      const candidate = Buffer.concat([shortest.subarray(0, at), shortest.subarray(at + size)]);
      if (await fails(candidate)) shortest = candidate;
      else at += size;
    }
  }
  return shortest;
}
