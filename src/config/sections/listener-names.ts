import { formatListenAddress, listenerName } from '../../server/listen/listeners.ts';
import type { ListenerSettings } from '../../server/settings.ts';
import { reportTaken } from '../checks/names.ts';
import type { Draft } from '../schema/draft.ts';
import { addressesOf, listenAddress } from '../schema/listen-address.ts';
import type { Files } from '../source/files.ts';
import type { Path, Placed, Reports } from '../source/problem.ts';
import type { Source } from '../source/source.ts';
import { nearest } from '../source/suggestion.ts';
import { either, quote, ValueError } from '../source/value-error.ts';

/**
 * The draft with the listeners in its conditions under the names that `Facts` use. Reports those that do not
 * exist.
 */
export function nameListeners(
  draft: Draft,
  listeners: readonly Placed<ListenerSettings>[],
  files: Files,
  source: Source,
  reports: Reports,
): Draft {
  reportTaken(namesIn(draft), 'rules and routes identify listeners by name', source, reports);
  const known = new Map<string, Set<string>>();
  for (const { made } of listeners) {
    const name = listenerName(made);
    for (const key of [name, formatListenAddress(made.address)])
      known.set(key, (known.get(key) ?? new Set()).add(name));
  }
  // A faulty listener may be the one that is meant.
  const isSure = draft.listen?.every((_, i) => listeners.some(({ path }) => path[1] === i)) ?? true;
  const find = (written: string, path: Path): readonly string[] => {
    const found = spellingsOf(written, files).flatMap((one) => [...(known.get(one) ?? [])]);
    if (found.length > 0) return found;
    if (isSure) {
      const meant = nearest(written, [...known.keys()]);
      const remedy = meant === undefined ? `write ${either([...known.keys()])}` : `did you mean ${meant}?`;
      reports.error(path, `there is no listener ${quote(written)}`, remedy);
    }
    return [written];
  };
  const named = { ...draft };
  for (const key of ['accept', 'rules', 'routes'] as const) {
    const sections: readonly ({ readonly listener?: readonly string[] } | undefined)[] = draft[key] ?? [];
    if (!sections.some((section) => section?.listener !== undefined)) continue;
    Object.assign(named, {
      [key]: sections.map((section, i) => {
        const listener = section?.listener?.flatMap((one, j) => find(one, [key, i, 'listener', j]));
        return listener === undefined ? section : { ...section, listener };
      }),
    });
  }
  return named;
}

function namesIn({ listen = [] }: Draft): Placed<{ readonly name: string }>[] {
  return listen.flatMap((section, i) =>
    section?.name === undefined ? [] : [{ made: { name: section.name }, path: ['listen', i] }],
  );
}

/** A name as it is, and the addresses that an address stands for. */
function spellingsOf(written: string, files: Files): readonly string[] {
  const { data: address } = listenAddress.safeParse(written);
  if (address === undefined) return [written];
  if ('path' in address) return [`unix:${files.path(address.path)}`];
  if ('activated' in address) return [written];
  try {
    return addressesOf(address.host).map((host) => formatListenAddress({ host, port: address.port }));
  } catch (fault) {
    if (fault instanceof ValueError) return [];
    throw fault;
  }
}
