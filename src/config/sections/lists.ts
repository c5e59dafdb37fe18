import { mergePorts } from '../../policy/ports.ts';
import type { PortRange } from '../../policy/policy.ts';
import { SET_NAMES } from '../../policy/sets.ts';
import { isListFile, parseFrom, parsePorts, parseTo, parseUser } from '../schema/conditions.ts';
import type { Entry } from '../schema/conditions.ts';
import type { Draft, WrittenDraft } from '../schema/draft.ts';
import { readText } from '../source/file.ts';
import type { Files } from '../source/files.ts';
import { readList } from '../source/list-file.ts';
import type { Path, Report, Reports } from '../source/problem.ts';
import { ValueError } from '../source/value-error.ts';

/** Entries that all list files of a configuration can have together. */
const MOST = 1_000_000;

const SECTIONS = ['accept', 'rules', 'routes'] as const;
type Kind = 'from' | 'to' | 'user' | 'port';
const PARSERS: Readonly<Record<Kind, (entry: string) => unknown>> = {
  from: (entry) => refuseSet(parseFrom(entry)),
  to: (entry) => refuseSet(parseTo(entry)),
  user: parseUser,
  port: parsePorts,
};
const KINDS = Object.keys(PARSERS) as Kind[];

/** In a list from elsewhere, the word `any` must not match everything. */
function refuseSet(entry: string): string {
  if (!SET_NAMES.some((set) => set === entry)) return entry;
  throw new ValueError(
    `a list cannot contain the set ${entry}`,
    'write it beside the file: [{ file: … }, ' + entry + ']',
  );
}

/** The draft without list files, and the reports about it: their paths lead to what was written. */
interface Expanded {
  readonly draft: Draft;
  readonly reports: Reports;
}

/**
 * Reads the list files of a draft. A file is read once for each kind of condition, and conditions that
 * consist of the same file share their entries.
 */
export function expandLists(written: WrittenDraft, files: Files, reports: Reports): Expanded {
  const lists = new Lists(files, reports);
  const draft: Record<string, unknown> = { ...written };
  for (const key of SECTIONS) {
    const sections: readonly (Conditions | undefined)[] = written[key] ?? [];
    if (!sections.some((section) => section !== undefined && hasFiles(section))) continue;
    draft[key] = sections.map((section, i) => section && lists.expand(section, [key, i]));
  }
  return { draft: draft as Draft, reports: lists.reports };
}

type Conditions = { readonly [K in Kind]?: readonly Entry<unknown>[] };

function hasFiles(section: Conditions): boolean {
  return KINDS.some((kind) => section[kind]?.some(isListFile));
}

class Lists {
  readonly #files: Files;
  readonly #written: Reports;
  readonly #read = new Map<string, readonly unknown[]>();
  /** By the path of an expanded condition: where each written entry ends among the expanded ones. */
  readonly #ends = new Map<string, readonly number[]>();
  #left = MOST;

  constructor(files: Files, reports: Reports) {
    this.#files = files;
    this.#written = reports;
  }

  get reports(): Reports {
    const { error, warning } = this.#written;
    const through =
      (report: Report): Report =>
      (path, ...more) =>
        report(this.#asWritten(path), ...more);
    return {
      ...this.#written,
      error: through(error),
      warning: through(warning),
      isListed: (section) => KINDS.some((kind) => this.#ends.has([...section, kind].join('\0'))),
    };
  }

  expand(section: Conditions, path: Path): Conditions {
    const expanded: Record<string, unknown> = { ...section };
    for (const kind of KINDS) {
      const entries = section[kind];
      if (entries?.some(isListFile)) expanded[kind] = this.#expandOne(entries, kind, [...path, kind]);
    }
    return expanded;
  }

  #expandOne(entries: readonly Entry<unknown>[], kind: Kind, path: Path): readonly unknown[] {
    const parts = entries.map((entry, i) =>
      isListFile(entry) ? this.#entriesOf(entry.file, kind, [...path, i]) : [entry],
    );
    let end = 0;
    this.#ends.set(
      path.join('\0'),
      parts.map((part) => (end += part.length)),
    );
    if (kind === 'port') return mergePorts(parts.flat() as readonly PortRange[]);
    return parts.length === 1 ? parts[0]! : parts.flat();
  }

  #entriesOf(written: string, kind: Kind, path: Path): readonly unknown[] {
    const key = `${kind}\0${this.#files.path(written)}`;
    let entries = this.#read.get(key);
    if (entries === undefined) {
      entries = this.#readFile(written, kind, path);
      this.#read.set(key, entries);
    }
    return entries;
  }

  #readFile(written: string, kind: Kind, path: Path): readonly unknown[] {
    const { error, warning, problem } = this.#written;
    const shown = this.#files.shown(written);
    const text = readText(this.#files.reads(written), shown);
    if (typeof text !== 'string') {
      if (text.line === undefined)
        error(path, `${shown}: ${text.message}`, 'name a file with one entry a line');
      else problem(text);
      return [];
    }
    const { entries, problems } = readList(text, shown, PARSERS[kind], kind === 'to', this.#left);
    this.#left -= entries.length;
    for (const one of problems) problem(one);
    if (entries.length === 0 && problems.length === 0)
      warning(path, `there are no entries in ${shown}`, 'until there are, this matches nothing');
    return entries;
  }

  #asWritten(path: Path): Path {
    const index = path[3];
    const ends = typeof index === 'number' ? this.#ends.get(path.slice(0, 3).join('\0')) : undefined;
    if (ends === undefined) return path;
    return [...path.slice(0, 3), ends.findIndex((end) => Number(index) < end), ...path.slice(4)];
  }
}
