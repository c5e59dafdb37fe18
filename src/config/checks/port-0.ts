import type { PortRange } from '../../policy/policy.ts';
import type { Path, Reports } from '../source/problem.ts';

/** Warns of conditions on port 0 alone: only requests without a destination have it, such as RESOLVE. */
export function warnOfPort0(
  {
    port = [],
    ...rest
  }: { readonly port?: readonly PortRange[]; readonly 'source-port'?: readonly PortRange[] },
  path: Path,
  { warning }: Reports,
): void {
  for (const [i, { last }] of port.entries()) {
    if (last === 0)
      warning(
        [...path, 'port', i],
        'nothing can be reached at port 0',
        'write the ports that you mean, or leave port out for all of them',
      );
  }
  for (const [i, { last }] of (rest['source-port'] ?? []).entries()) {
    if (last === 0)
      warning([...path, 'source-port', i], 'no client comes from port 0', 'write the ports that you mean');
  }
}
