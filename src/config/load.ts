import type { Settings } from '../server/settings.ts';
import { readDraft } from './draft.ts';
import type { Environment } from './environment.ts';
import { readText } from './file.ts';
import { flagOverrides } from './flags.ts';
import type { Flags } from './flags.ts';
import { PROBLEMS_LIMIT, formatProblem, sortProblems } from './problem.ts';
import type { Problem, Report } from './problem.ts';
import { completeSettings } from './settings.ts';
import { objectSource, override } from './source.ts';
import type { Source } from './source.ts';
import { readYaml } from './yaml.ts';

/** A configuration that was read: its settings, or every error in it at once, in order; and warnings either way. */
export interface Loaded {
  readonly settings: Settings | undefined;
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** Reads a configuration file. Flags and variables (`GARTER_LISTEN`, …) win over what stands in it. */
export function loadConfig(file: string, flags: Flags, environment: Environment): Loaded {
  const text = readText(file);
  if (typeof text !== 'string') return { settings: undefined, errors: [text], warnings: [] };
  return parseConfig(text, file, flags, environment);
}

/** Reads the text of a configuration file. Relative paths in it are relative to the folder of `file`. */
export function parseConfig(text: string, file: string, flags: Flags, environment: Environment): Loaded {
  const { source, problems } = readYaml(text, file, environment);
  if (source === undefined) return { settings: undefined, errors: problems, warnings: [] };
  return load(override(source, flagOverrides(flags, environment)), problems, false);
}

/** What flags and variables say, without a file. */
export function settingsFromFlags(flags: Flags, environment: Environment): Loaded {
  return load(override(objectSource({}), flagOverrides(flags, environment)), [], false);
}

/**
 * Reads an object with the keys of a configuration file. Relative paths in it are relative to the working directory.
 * `authenticates` is true when the caller checks passwords itself.
 */
export function settingsFromObject(config: unknown, authenticates: boolean): Loaded {
  return load(objectSource(config), [], authenticates);
}

function load(source: Source, found: readonly Problem[], authenticates: boolean): Loaded {
  const errors = [...found];
  const warnings: Problem[] = [];
  // What could not be read properly is not judged as well.
  const unread = new Set(found.map(({ line, column }) => `${line}:${column}`));
  // Aliases lead to one place by several paths.
  const said = new Set<string>();
  const reportTo =
    (problems: Problem[]): Report =>
    (path, message, remedy, on) => {
      if (problems.length >= PROBLEMS_LIMIT) return;
      const place = source.place(path, on);
      if (place.line !== undefined && unread.has(`${place.line}:${place.column}`)) return;
      const problem = { ...place, message: source.shown(message, path), remedy };
      const text = formatProblem(problem, 'error');
      if (!said.has(text)) problems.push(problem);
      said.add(text);
    };
  const reports = { error: reportTo(errors), warning: reportTo(warnings) };
  const settings = completeSettings(readDraft(source, reports.error), source, authenticates, reports);
  return {
    settings: errors.length === 0 ? settings : undefined,
    errors: sortProblems(errors),
    warnings: sortProblems(warnings),
  };
}
