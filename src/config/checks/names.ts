import type { Path, Placed, Reports } from '../source/problem.ts';
import type { Source } from '../source/source.ts';
import { quote } from '../source/value-error.ts';

/** Reports names that an earlier entry already has. `why`: why they must differ. */
export function reportTaken(
  placed: readonly Placed<{ readonly name: string }>[],
  why: string,
  source: Source,
  { error }: Reports,
): void {
  const first = new Map<string, Path>();
  for (const { made, path } of placed) {
    const earlier = first.get(made.name);
    if (earlier === undefined) first.set(made.name, path);
    else
      error(
        [...path, 'name'],
        `the name ${quote(made.name)} is already used ${whereIs(earlier, source)}`,
        `write another one: ${why}`,
      );
  }
}

/** `on line 7`, or `at rules[2]`. */
export function whereIs(path: Path, { place }: Source): string {
  const { line, where } = place(path);
  return line === undefined ? `at ${where}` : `on line ${line}`;
}
