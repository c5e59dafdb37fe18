import type { Origin } from '../../policy/policy.ts';
import { formatPath } from './problem.ts';
import type { Path, Place } from './problem.ts';

/** Where a configuration comes from: plain values, and the place of each. */
export interface Source {
  readonly value: unknown;
  /** The file as it was named, for the origin of rules. */
  readonly file?: string;
  /** The place of a value, or of its key; of the nearest value around it when there is none. */
  readonly place: (path: Path, on?: 'key') => Place;
  /** A message about the value as it may be shown: what it quotes from the environment is its variable again. */
  readonly shown: (text: string, path: Path) => string;
  /** A text as written in a file, `${NAME}` and all; `undefined` for what is in none. */
  readonly written: (path: Path) => string | undefined;
}

/** One setting from a flag or a variable, which wins over the file. */
export interface Override {
  readonly path: Path;
  readonly value: unknown;
  /** `--listen` or `GARTER_LISTEN`. */
  readonly from: string;
}

/** Plain JavaScript values; places are paths. */
export function objectSource(value: unknown): Source {
  return {
    value,
    place: (path) => ({ where: path.length === 0 ? 'configuration' : formatPath(path) }),
    shown: (text) => text,
    written: () => undefined,
  };
}

/** Where in a file a rule or listener is. */
export function originOf({ file, place }: Source, path: Path): { readonly origin?: Origin } {
  const { line } = place(path);
  return file === undefined || line === undefined ? {} : { origin: { file, line } };
}

/** The source with some of its settings replaced, the later ones last. */
export function override(source: Source, overrides: readonly Override[]): Source {
  const value = overrides.reduce((whole, one) => replace(whole, one.path, one.value), source.value);
  const overriding = (path: Path): Override | undefined =>
    overrides.findLast((one) => one.path.every((step, i) => step === path[i]));
  return {
    ...source,
    value,
    place: (path, on) => {
      const found = overriding(path);
      return found === undefined ? source.place(path, on) : { where: found.from };
    },
    shown: (text, path) => (overriding(path) === undefined ? source.shown(text, path) : text),
    written: (path) => (overriding(path) === undefined ? source.written(path) : undefined),
  };
}

function replace(whole: unknown, [step, ...rest]: Path, value: unknown): unknown {
  if (step === undefined) return value;
  // What is not a map is reported in its place, not painted over.
  if (typeof whole !== 'object' || whole === null || Array.isArray(whole)) return whole;
  const inner: unknown = Reflect.get(whole, step) ?? {};
  return { ...whole, [step]: replace(inner, rest, value) };
}
