import { parseName } from '../../policy/names.ts';
import type { ResolveOptions } from '../../resolve/resolver.ts';
import type { Draft } from '../schema/draft.ts';
import type { Reports } from '../source/problem.ts';
import { quote } from '../source/value-error.ts';

/** How names are resolved. */
export function completeResolve(
  { resolve: names = {}, timeouts = {} }: Draft,
  reports: Reports,
): ResolveOptions {
  return {
    ...(names.servers !== undefined && { servers: names.servers }),
    ...(names.hosts !== undefined && { hosts: completeHosts(names.hosts, reports) }),
    family: names.family ?? 'any',
    // Name resolution is part of the connect time-out, so it must not take longer.
    timeout: Math.min(names.timeout ?? 5000, timeouts.connect ?? 30_000),
  };
}

/** The static names, in the form in which names are compared. */
function completeHosts(
  hosts: Readonly<Record<string, readonly string[]>>,
  { error }: Reports,
): NonNullable<ResolveOptions['hosts']> {
  const complete: Record<string, readonly string[]> = {};
  for (const [written, addresses] of Object.entries(hosts)) {
    const name = parseName(written);
    if (name === undefined) continue;
    if (Object.hasOwn(complete, name))
      error(
        ['resolve', 'hosts', written],
        `${quote(written)} is the same name as another here`,
        'write its addresses as one list',
        'key',
      );
    complete[name] = addresses;
  }
  return complete;
}
