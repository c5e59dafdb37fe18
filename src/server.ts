/** The embeddable server. */
import { HealthEndpoint } from './admin/health.ts';
import type { ConnectionRecord } from './audit/record.ts';
import type { ServerConfig } from './config/input/server-config.ts';
import { settingsFromObject } from './config/load.ts';
import { formatProblems } from './config/source/problem.ts';
import type { Problem } from './config/source/problem.ts';
import type { Attachment } from './server/attachment.ts';
import type { ServerHooks } from './server/hooks.ts';
import { Server as RunningServer } from './server/server.ts';
import type { Settings } from './server/settings.ts';
import type { Endpoint } from './wire/address.ts';

/** A running server. */
export interface Server extends AsyncDisposable {
  /** The listening addresses, with actual ports, in the order of `listen`; without unix sockets. */
  readonly addresses: readonly Endpoint[];
  /** The address of `/healthz` and `/readyz`, with the actual port; `undefined` without `health`. */
  readonly health: Endpoint | undefined;
  /** The open sessions, as records without an end. */
  sessions(): Promise<readonly ConnectionRecord[]>;
  /**
   * Applies another configuration, then ends the sessions that it no longer allows. `engine` and `workers` do
   * not change. Rejects as `createServer` does; then nothing has changed.
   */
  reload(config: ServerConfig): Promise<void>;
  /** Refuses new connections and lets open ones finish, up to `timeouts.drain`; then ends them and closes. */
  drain(): Promise<void>;
  /** Ends every session at once and closes everything; so does `await using`. */
  close(): Promise<void>;
}

/** The configuration is invalid. The message shows each mistake, and what to write instead. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'ERR_CONFIG';
  /** Each mistake separately. */
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(formatProblems(problems, 'error'));
    this.problems = problems;
  }
}

/**
 * Starts a server, and resolves once every listener is open. It writes nothing to standard error, and runs in
 * the calling thread, unless the configuration says otherwise.
 *
 * Rejects with a `ConfigError`, with Node's error when a listener or a file cannot be opened, or with the
 * reason of the signal.
 */
export async function createServer(config: ServerConfig, hooks: ServerHooks = {}): Promise<Server> {
  const read = (written: ServerConfig): { settings: Settings; warnings: readonly Problem[] } => {
    const { settings, errors, warnings } = settingsFromObject(written, hooks.authenticate !== undefined);
    if (settings === undefined) throw new ConfigError(errors);
    return { settings, warnings };
  };
  const { settings, warnings } = read(config);
  let health: HealthEndpoint | undefined;
  const attachments = (made: RunningServer): readonly Attachment[] => [(health = new HealthEndpoint(made))];
  const server = await RunningServer.start(settings, { ...hooks, attachments });
  const warn = (found: readonly Problem[]): void => {
    if (found.length > 0) server.log.warn('configuration', { report: formatProblems(found, 'warning') });
  };
  server.report('started');
  warn(warnings);
  return {
    get addresses() {
      return server.addresses;
    },
    get health() {
      return health?.at;
    },
    sessions: () => server.sessions(),
    async reload(next) {
      const wanted = read(next);
      await server.reload(wanted.settings);
      server.report('reloaded');
      warn(wanted.warnings);
    },
    drain: () => server.drain(),
    close: () => server.close(),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

/** A mistake in a configuration: its position, a description, and what to write instead. */
export type ConfigProblem = Problem;

export type { LogEntry } from './audit/line.ts';
export type { ConnectionRecord } from './audit/record.ts';
export type { ListenerConfig } from './config/input/listeners.ts';
export type { RouteConfig, UpstreamConfig } from './config/input/routes.ts';
export type { AcceptConfig, RuleConfig } from './config/input/rules.ts';
export type { ServerConfig } from './config/input/server-config.ts';
export type { Identity } from './auth/identity.ts';
export type { Destination, Facts } from './policy/policy.ts';
export type { Authenticate, Decide, ServerHooks } from './server/hooks.ts';
export type { Endpoint } from './wire/address.ts';
