/**
 * The outcome of the work or, after this many milliseconds, whatever `late` returns or throws. The late
 * outcome of the work is then ignored.
 */
export async function withTimeout<T, L>(
  work: Promise<T>,
  milliseconds: number,
  late: () => L,
): Promise<T | L> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  try {
    return await Promise.race([work, over.then(late)]);
  } finally {
    clearTimeout(timer);
  }
}
