import { AddressSet, parseAddressRange } from '../../policy/addresses.ts';
import type { AddressRange } from '../../policy/addresses.ts';
import { carriesIpv4, parseCondition } from '../../policy/conditions.ts';
import type { Path, Reports } from '../source/problem.ts';
import type { RuleSection } from '../schema/sections.ts';
import { quote } from '../source/value-error.ts';

/** The address ranges of the prefixes, which must not overlap: an address would lead to two others. */
export function checkNat64(prefixes: readonly string[], { error }: Reports): readonly AddressRange[] {
  const ranges = prefixes.map((prefix) => parseAddressRange(prefix)!);
  for (const [i, prefix] of prefixes.entries()) {
    const around = ranges.findIndex(
      (range, j) => j !== i && AddressSet.of([range]).covers(ranges[i]!) && (j < i || prefixes[j] !== prefix),
    );
    if (around >= 0)
      error(
        ['nat64', i],
        `this is inside ${prefixes[around]}, which is also listed`,
        'remove one of the two',
      );
  }
  return ranges;
}

/**
 * A network within NAT64 or 6to4 has no effect in an allowing rule, which compares the embedded IPv4 address.
 */
export function checkTranslated(
  { allow, to }: RuleSection,
  path: Path,
  translated: AddressSet,
  { error }: Reports,
): void {
  if (allow === undefined) return;
  for (const [i, written] of to.entries()) {
    const condition = parseCondition(written);
    if (condition?.type !== 'range') continue;
    const { range } = condition;
    if (carriesIpv4(range) || translated.covers(range))
      error(
        [...path, 'to', i],
        `${quote(written)} leads to IPv4 addresses, and allowing rules match those`,
        'write any or public, or the IPv4 network, with the prefix under nat64',
      );
  }
}
