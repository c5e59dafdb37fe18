import type { Draft } from '../schema/draft.ts';
import type { Reports } from '../source/problem.ts';
import type { UpstreamRef } from '../schema/proxy-url.ts';

/** An upstream without a route has no effect, which may not be what its author expects. */
export function warnOfUnused(draft: Draft, { warning }: Reports): void {
  const { routes = [], upstreams = {} } = draft;
  const names = Object.keys(upstreams);
  if (names.length > 0 && !('routes' in draft)) {
    const remedy = `add routes: [{ to: [any], via: ${names[0]} }]`;
    warning(['upstreams'], 'there are no routes: everything leaves directly', remedy, 'key');
    return;
  }
  const used = new Set(['direct', ...routes.flatMap((section) => namesIn([section?.via]))]);
  for (const name of used) {
    const { servers = [], chain = [] } = upstreams[name] ?? {};
    for (const inside of namesIn([...servers.map(({ url }) => url), ...chain])) used.add(inside);
  }
  // A faulty part may refer to it.
  const isSure = [...used].every((name) => name === 'direct' || Object.hasOwn(upstreams, name));
  if (draft.routes === undefined || routes.includes(undefined) || !isSure) return;
  for (const name of names.filter((one) => !used.has(one))) {
    const remedy = `write via: ${name} in a route, or remove it`;
    warning(['upstreams', name], 'no route leads to this upstream', remedy, 'key');
  }
}

function namesIn(refs: readonly (UpstreamRef | undefined)[]): readonly string[] {
  return refs.flatMap((ref) => (ref !== undefined && 'name' in ref ? [ref.name] : []));
}
