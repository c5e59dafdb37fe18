import { resolve } from 'node:path';
import type { Environment } from './environment.ts';
import type { Path } from './problem.ts';
import type { Override } from './source.ts';

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
  const { GARTER_LISTEN, GARTER_USERS, GARTER_USER, GARTER_PASSWORD, GARTER_ENGINE } = environment;
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
  if (GARTER_ENGINE) set(['engine'], 'GARTER_ENGINE', GARTER_ENGINE);
  return overrides;
}

function listenSection(addresses: readonly string[]): object[] {
  return addresses.map((address) => ({ address: address.trim() }));
}
