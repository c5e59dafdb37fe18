import { dirname, resolve } from 'node:path';
import type { Settings } from '../server/settings.ts';
import { agentOverrides, FlagError } from './sections/agent.ts';
import type { AgentFlags } from './sections/agent.ts';
import { obstaclesTo } from './checks/obstacles.ts';
import type { Obstacle } from './checks/obstacles.ts';
import { readDraft } from './schema/draft.ts';
import type { Environment } from './source/environment.ts';
import { readText } from './source/file.ts';
import { Files } from './source/files.ts';
import { flagOverrides, unknownVariables } from './source/flags.ts';
import type { Flags } from './source/flags.ts';
import { PROBLEMS_LIMIT, formatProblem, sortProblems } from './source/problem.ts';
import type { Problem, Report } from './source/problem.ts';
import { completeSettings, controlOf } from './settings.ts';
import type { Purpose } from './checks/safety.ts';
import { objectSource, override } from './source/source.ts';
import type { Override, Source } from './source/source.ts';
import { readYaml } from './source/yaml.ts';

/** A loaded configuration: its settings, or all of its errors, in order; and warnings in either case. */
export interface Loaded {
  readonly settings: Settings | undefined;
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** The absolute paths of the files whose content is part of the settings. */
  readonly files: readonly string[];
  /** What this machine lacks for them, now. */
  readonly obstacles: () => readonly Obstacle[];
}

const NO_OBSTACLES = (): readonly Obstacle[] => [];

const SERVER: Purpose = { authenticates: false, role: 'server' };
/** Everything that a rule must name. */
const EVERYWHERE: readonly string[] = [
  'any',
  'loopback',
  '.localhost',
  'link-local',
  'metadata',
  'self',
  'reserved',
];
const AGENT: Purpose = { authenticates: false, role: 'agent' };

/** Reads a configuration file. Flags and variables (`GARTER_LISTEN`, …) override it. */
export function loadConfig(file: string, flags: Flags, environment: Environment): Loaded {
  return loadFile(file, flagOverrides(flags, environment), environment, SERVER);
}

/** Parses the text of a configuration file. Relative paths in it are relative to the folder of `file`. */
export function parseConfig(text: string, file: string, flags: Flags, environment: Environment): Loaded {
  return parseText(text, file, flagOverrides(flags, environment), environment, SERVER);
}

/** The settings from flags and variables alone. */
export function settingsFromFlags(flags: Flags, environment: Environment): Loaded {
  const loaded = load(override(objectSource({}), flagOverrides(flags, environment)), [], SERVER);
  return withVariables(loaded, environment);
}

/** The settings of an agent, with or without a configuration file. */
export function agentSettings(file: string | undefined, flags: AgentFlags, environment: Environment): Loaded {
  let overrides: readonly Override[];
  try {
    overrides = agentOverrides(flags, environment, file);
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    const { where, message, remedy } = error;
    return {
      settings: undefined,
      errors: [{ where, message, remedy }],
      warnings: [],
      files: [],
      obstacles: NO_OBSTACLES,
    };
  }
  if (file !== undefined) return loadFile(file, overrides, environment, AGENT);
  return withVariables(load(override(objectSource({}), overrides), [], AGENT), environment);
}

/** A proxy server, and the destinations that are reached without it. */
export interface ProxyFlags {
  readonly proxy: string;
  /** The flag or variable that contains its URL. */
  readonly from: string;
  /** Conditions as in `to` of a route. */
  readonly direct: readonly string[];
}

/** The settings of a client that reaches everything through one proxy server. */
export function proxySettings({ proxy, from, direct }: ProxyFlags): Loaded {
  const config = { listen: [{ address: '127.0.0.1:0' }], rules: [{ allow: 'connect', to: EVERYWHERE }] };
  const routes = [
    ...(direct.length > 0 ? [{ name: 'direct', to: direct, via: 'direct' }] : []),
    ...(direct.includes('any') ? [] : [{ to: ['any'], via: 'proxy' }]),
  ];
  const overrides = [
    { path: ['upstreams'], value: { proxy }, from },
    { path: ['routes'], value: routes, from: 'no_proxy' },
  ];
  return load(override(objectSource(config), overrides), [], { authenticates: true, role: 'library' });
}

/**
 * Reads an object with the keys of a configuration file. Relative paths in it are relative to the working
 * directory. `authenticates`: the caller checks passwords itself.
 */
export function settingsFromObject(config: unknown, authenticates: boolean): Loaded {
  return load(objectSource(config), [], { authenticates, role: 'library' });
}

/**
 * The keys that determine where a server with this configuration is found, or why the file
 * cannot be read. Mistakes in it are no obstacle: the server may be running with its previous text.
 */
export function controlIn(
  file: string,
  environment: Environment,
): Pick<Settings, 'control' | 'stateFile' | 'pidFile'> | Problem {
  const text = readText(file);
  if (typeof text !== 'string') return text;
  const { source } = readYaml(text, file, environment);
  const { control, state, 'pid-file': pidFile } = readDraft(source ?? objectSource({}), () => {});
  const absolute = (path: string): string => resolve(dirname(file), path);
  return {
    ...controlOf({ control }, absolute, 'server'),
    ...(state !== undefined && { stateFile: absolute(state) }),
    ...(pidFile !== undefined && { pidFile: absolute(pidFile) }),
  };
}

function loadFile(
  file: string,
  overrides: readonly Override[],
  environment: Environment,
  purpose: Purpose,
): Loaded {
  const text = readText(file);
  if (typeof text !== 'string') return faulty([text], file);
  return parseText(text, file, overrides, environment, purpose);
}

function parseText(
  text: string,
  file: string,
  overrides: readonly Override[],
  environment: Environment,
  purpose: Purpose,
): Loaded {
  const { source, problems } = readYaml(text, file, environment);
  if (source === undefined) return faulty(problems, file);
  return withVariables(load(override(source, overrides), problems, purpose), environment);
}

function withVariables(loaded: Loaded, environment: Environment): Loaded {
  return { ...loaded, warnings: [...unknownVariables(environment), ...loaded.warnings] };
}

/** A file that could not be read: once it has changed, it may be. */
function faulty(errors: readonly Problem[], file: string): Loaded {
  return { settings: undefined, errors, warnings: [], files: [resolve(file)], obstacles: NO_OBSTACLES };
}

function load(source: Source, found: readonly Problem[], purpose: Purpose): Loaded {
  const errors = [...found];
  const warnings: Problem[] = [];
  // Positions with syntax errors are not checked further.
  const unread = new Set(found.map(({ line, column }) => `${line}:${column}`));
  // With aliases, several paths lead to one position.
  const said = new Set<string>();
  const reportTo =
    (problems: Problem[]): Report =>
    (path, message, remedy, on) => {
      if (problems.length >= PROBLEMS_LIMIT) return;
      const place = source.place(path, on);
      if (place.line !== undefined && unread.has(`${place.line}:${place.column}`)) return;
      const problem = { ...place, path, message: source.shown(message, path), remedy };
      const text = formatProblem(problem, 'error');
      if (!said.has(text)) problems.push(problem);
      said.add(text);
    };
  const elsewhere: Problem[] = [];
  const reports = {
    error: reportTo(errors),
    warning: reportTo(warnings),
    problem: (problem: Problem): void => void elsewhere.push(problem),
    isListed: () => false,
  };
  const files = new Files(source.file);
  const draft = readDraft(source, reports.error);
  const settings = completeSettings(draft, source, files, purpose, reports);
  const isFaulty = errors.length + elsewhere.length > 0;
  return {
    settings: isFaulty ? undefined : settings,
    errors: [...sortProblems(errors), ...elsewhere],
    warnings: sortProblems(warnings),
    files: files.read,
    obstacles: () => (isFaulty ? [] : obstaclesTo(draft, settings, source, files)),
  };
}
