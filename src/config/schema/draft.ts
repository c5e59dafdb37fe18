import type { z } from 'zod';
import { formatPath } from '../source/problem.ts';
import type { Path, Report } from '../source/problem.ts';
import { ALONE_LIST, lists, sections } from './schema.ts';
import type { RouteSection } from './routes.ts';
import type { AcceptSection, Lists, RuleSection, Sections } from './sections.ts';
import type { Source } from '../source/source.ts';
import { nearest } from '../source/suggestion.ts';
import { isKeys } from './value.ts';
import { either, quote } from '../source/value-error.ts';

/**
 * The sections of a source: a faulty one is present but `undefined`, so that the others can still be checked.
 */
export type WrittenDraft = { -readonly [K in keyof Sections]?: Sections[K] | undefined } & {
  /** Faulty entries are `undefined`. */
  [K in keyof Lists]?: readonly (Lists[K] | undefined)[] | undefined;
};

/** The same with the entries of list files in place of the files. */
export type Draft = { [K in Exclude<keyof WrittenDraft, 'accept' | 'rules' | 'routes'>]: WrittenDraft[K] } & {
  accept?: readonly (AcceptSection | undefined)[] | undefined;
  rules?: readonly (RuleSection | undefined)[] | undefined;
  routes?: readonly (RouteSection | undefined)[] | undefined;
};

/** Reads all sections of a source, and reports everything that does not match the schema. */
export function readDraft({ value }: Source, report: Report): WrittenDraft {
  const draft: Record<string, unknown> = {};
  if (!isKeys(value)) {
    const found =
      value === null ? 'the configuration is empty' : `${quote(value)} is not a mapping of keys and values`;
    report([], found, 'write at least: listen: [{ address: 127.0.0.1:1080 }]');
    return draft;
  }
  const read = (schema: z.ZodType, input: unknown, path: Path): unknown => {
    const { data, error } = schema.safeParse(input);
    if (error !== undefined) reportIssues(error.issues, input, path, report);
    return data;
  };
  for (const [key, input] of Object.entries(value)) {
    if (input === undefined) continue;
    if (isIn(lists, key)) {
      const entries = entriesOf(input, key);
      draft[key] = entries?.map((entry, i) => read(lists[key], entry, [key, i]));
      if (entries === undefined) {
        const remedy = `write ${key}: [ … ], or one "- …" for each entry`;
        report([key], `${quote(input)} is not a list`, remedy);
      }
    } else if (isIn(sections, key)) draft[key] = read(sections[key], input, [key]);
    else reportUnknown([key], Object.keys({ ...lists, ...sections }), report);
  }
  return draft;
}

/** The entries of a list; a single listener is a list of one. */
function entriesOf(input: unknown, key: keyof Lists): readonly unknown[] | undefined {
  if (Array.isArray(input)) return input;
  return key === ALONE_LIST && (isKeys(input) || typeof input === 'string') ? [input] : undefined;
}

function reportIssues(issues: readonly z.core.$ZodIssue[], input: unknown, at: Path, report: Report): void {
  /** Missing keys that were probably misspelt. */
  const meant = new Set<string>();
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue;
    const path = [...at, ...steps(issue.path)];
    for (const key of issue.keys) {
      const suggestion = reportUnknown([...path, key], issue.message.split(' '), report);
      if (suggestion !== undefined) meant.add(formatPath([...path, suggestion]));
    }
  }
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') continue;
    const path = [...at, ...steps(issue.path)];
    const { remedy, isKey } = ('params' in issue ? issue.params : undefined) ?? {};
    if (issue.path.length > 0 && inside(input, issue.path) === undefined) {
      if (!meant.has(formatPath(path)))
        report(path.slice(0, -1), `"${path.at(-1)}" is missing`, String(remedy));
    } else report(path, issue.message, String(remedy), isKey === true ? 'key' : undefined);
  }
}

/** Reports an unknown key; returns the key that was probably meant. */
function reportUnknown(path: Path, known: readonly string[], report: Report): string | undefined {
  const key = String(path.at(-1));
  const meant = nearest(key, known) ?? containing(key, known);
  const remedy = meant === undefined ? `write ${either(known)}` : `did you mean ${meant}?`;
  report(path, `there is no key ${quote(key)} here`, remedy, 'key');
  return meant;
}

/** The only key that contains the word or is part of it: `certificate` for `cert`. */
function containing(word: string, known: readonly string[]): string | undefined {
  const [found, ...more] = known.filter(
    (one) => word.length > 1 && (one.includes(word) || word.includes(one)),
  );
  return more.length === 0 ? found : undefined;
}

function steps(path: readonly PropertyKey[]): Path {
  return path.map((step) => (typeof step === 'symbol' ? step.toString() : step));
}

function inside(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, step) => {
    if (Array.isArray(value)) return value[Number(step)];
    // A single value, even a mapping, is a list of one; text can be short for a mapping.
    if (step === 0) return value;
    if (isKeys(value)) return value[String(step)];
    return typeof value === 'string' ? value : undefined;
  }, input);
}

function isIn<T extends object>(table: T, key: string): key is keyof T & string {
  return Object.hasOwn(table, key);
}
