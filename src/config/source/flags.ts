import { resolve } from 'node:path';
import type { Environment } from './environment.ts';
import type { Path, Problem } from './problem.ts';
import type { Override } from './source.ts';
import { nearest } from './suggestion.ts';

/** The common flags of `garter serve` and `garter agent`. */
export interface Flags {
  readonly listen?: readonly string[];
  readonly users?: string;
  readonly engine?: string;
  readonly logLevel?: string;
}

/**
 * The settings from flags and variables. A flag takes precedence over its variable; an empty variable counts
 * as unset.
 */
export function flagOverrides(flags: Flags, environment: Environment): Override[] {
  const { GARTER_LISTEN, GARTER_USERS, GARTER_USER, GARTER_PASSWORD, GARTER_PASSWORD_FILE } = environment;
  const { GARTER_ENGINE, GARTER_HEALTH, GARTER_LOG_FORMAT } = environment;
  const overrides: Override[] = [];
  const set = (path: Path, from: string, value: unknown): void => {
    if (overrides.every((one) => one.path.join('.') !== path.join('.')))
      overrides.push({ path, from, value });
  };

  if (flags.listen !== undefined) set(['listen'], '--listen', listenSection(flags.listen));
  if (flags.users !== undefined) set(['users', 'file'], '--users', flags.users && resolve(flags.users));
  if (flags.engine !== undefined) set(['engine'], '--engine', flags.engine);
  if (flags.logLevel !== undefined) set(['log', 'level'], '--log-level', flags.logLevel);
  if (GARTER_LISTEN) set(['listen'], 'GARTER_LISTEN', listenSection(GARTER_LISTEN.split(',')));
  if (GARTER_USERS) set(['users', 'file'], 'GARTER_USERS', resolve(GARTER_USERS));
  if (GARTER_USER) set(['users', 'name'], 'GARTER_USER', GARTER_USER);
  if (GARTER_PASSWORD) set(['users', 'password'], 'GARTER_PASSWORD', GARTER_PASSWORD);
  if (GARTER_PASSWORD_FILE)
    set(['users', 'password'], 'GARTER_PASSWORD_FILE', { file: resolve(GARTER_PASSWORD_FILE) });
  if (GARTER_HEALTH) set(['health'], 'GARTER_HEALTH', GARTER_HEALTH);
  if (GARTER_LOG_FORMAT) set(['log', 'format'], 'GARTER_LOG_FORMAT', GARTER_LOG_FORMAT);
  if (GARTER_ENGINE) set(['engine'], 'GARTER_ENGINE', GARTER_ENGINE);
  return overrides;
}

/** The variables of `garter serve` and `garter agent`, in lower case. */
const VARIABLES: readonly string[] = [
  'garter_listen',
  'garter_users',
  'garter_user',
  'garter_password',
  'garter_password_file',
  'garter_health',
  'garter_log_format',
  'garter_engine',
  'garter_upstream',
  'garter_discover',
];

/** Warnings of variables that look like garter's own, and have no effect. */
export function unknownVariables(environment: Environment): Problem[] {
  const unknown = Object.keys(environment).filter(
    (name) => name.startsWith('GARTER_') && !VARIABLES.includes(name.toLowerCase()),
  );
  return unknown.map((where) => {
    const meant = nearest(where, VARIABLES)?.toUpperCase();
    const remedy = meant === undefined ? 'see garter serve --help, or remove it' : `did you mean ${meant}?`;
    return { where, message: 'garter has no such variable', remedy };
  });
}

function listenSection(addresses: readonly string[]): object[] {
  return addresses.map((address) => ({ address: address.trim() }));
}
