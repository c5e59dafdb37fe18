/** Milliseconds; what is left then is short enough. */
const TIME_LIMIT = 10_000;

/** The shortest input that still fails and is found by leaving out pieces, large ones first. */
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
