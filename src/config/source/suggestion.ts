/** The word that was probably meant: at most two letters missing, added, changed or swapped. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const near = words
    .map((one) => ({ one, distance: distance(word.toLowerCase(), one) }))
    .filter(({ distance: far }) => far <= Math.min(2, word.length - 1))
    .toSorted((a, b) => a.distance - b.distance);
  return near[0]?.one;
}

/** The Damerau-Levenshtein distance, with swaps of adjacent letters. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return Infinity;
  let [before, above]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(change, above[j]! + 1, row[j - 1]! + 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) row[j] = Math.min(row[j]!, before[j - 2]! + 1);
    }
    [before, above] = [above, row];
  }
  return above[b.length]!;
}
