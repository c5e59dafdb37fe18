/** The embeddable server. */
import { settingsFromObject } from './config/load.ts';
import { formatProblems } from './config/source/problem.ts';
import { Server } from './server/server.ts';
import type { ServerHooks } from './server/server.ts';

/** The configuration has mistakes; the message shows each, and what to write instead. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'ERR_CONFIG';
}

/**
 * Starts a server. `config` has the shape of garter.yaml (docs/configuration.md), as an object. Rejects with a ConfigError, or with
 * Node's error when a listener cannot be opened. Close it with `await server.close()`, `server.drain()`, `await using`, or the signal.
 */
export async function createServer(config: object, hooks: ServerHooks = {}): Promise<Server> {
  const { settings, errors } = settingsFromObject(config, hooks.authenticate !== undefined);
  if (settings === undefined) throw new ConfigError(formatProblems(errors, 'error'));
  // A program that embeds a server gets threads only if it asks for them.
  return Server.start('workers' in config ? settings : { ...settings, workers: 1 }, hooks);
}

export type { Authenticate, Server, ServerHooks } from './server/server.ts';
export type { Decide } from './server/session/state.ts';
export type { ConnectionRecord } from './audit/record.ts';
export type { Identity } from './auth/authenticator.ts';
export type { Endpoint } from './wire/address.ts';
export type { Destination, Facts } from './policy/policy.ts';
