import { parseCondition } from '../../policy/conditions.ts';
import type { Path, Reports } from '../source/problem.ts';
import { quote } from '../source/value-error.ts';
import { setMeantBy } from '../schema/set-words.ts';

/** Warns of destinations that were probably meant as a set, but are valid host names. */
export function warnOfSetWords(to: readonly string[], path: Path, { warning }: Reports): void {
  for (const [i, written] of to.entries()) {
    const set = parseCondition(written)?.type === 'name' ? setMeantBy(written) : undefined;
    if (set === undefined) continue;
    warning([...path, 'to', i], `${quote(written)} is taken as a host name`, `did you mean the set ${set}?`);
  }
}
