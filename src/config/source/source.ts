import type { Origin } from '../../policy/policy.ts';
import { formatPath } from './problem.ts';
import type { Path, Place } from './problem.ts';

/** The plain values of a configuration, with the position of each. */
export interface Source {
  readonly value: unknown;
  /** The file name as given, for the origin of rules. */
  readonly file?: string;
  /** The position of a value, or of its key; if it does not exist, that of the closest enclosing value. */
  readonly place: (path: Path, on?: 'key') => Place;
  /** A message about a value, made safe to show: text from the environment is replaced by its variable. */
  readonly shown: (text: string, path: Path) => string;
  /** Text as written in a file, including `${NAME}`; `undefined` if it is not in a file. */
  readonly written: (path: Path) => string | undefined;
}

/** One setting from a flag or a variable, which takes precedence over the file. */
export interface Override {
  readonly path: Path;
  readonly value: unknown;
  /** `--listen` or `GARTER_LISTEN`. */
  readonly from: string;
}

/** Plain JavaScript values, with paths as positions. */
export function objectSource(value: unknown): Source {
  return {
    value,
    place: (path) => ({ where: path.length === 0 ? 'configuration' : formatPath(path) }),
    shown: (text) => text,
    written: () => undefined,
  };
}

/** The position of a rule or listener in a file. */
export function originOf({ file, place }: Source, path: Path): { readonly origin?: Origin } {
  const { line } = place(path);
  return file === undefined || line === undefined ? {} : { origin: { file, line } };
}

/** The source with some settings replaced; later ones take precedence. */
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
  // A value that is not a mapping is reported where it is, not hidden.
  if (typeof whole !== 'object' || whole === null || Array.isArray(whole)) return whole;
  const inner: unknown = Reflect.get(whole, step) ?? {};
  return { ...whole, [step]: replace(inner, rest, value) };
}
