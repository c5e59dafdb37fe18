import { getRandomValues } from 'node:crypto';
import { Log } from '../audit/log.ts';
import type { Record } from '../audit/record.ts';
import type { Authenticator, Identity } from '../auth/authenticator.ts';
import type { Endpoint, Engine } from '../net/engine.ts';
import { chooseEngine } from '../net/choose.ts';
import { compile } from '../policy/compile.ts';
import type { Policy } from '../policy/compile.ts';
import { createLimitMemory, Limits } from '../policy/limits.ts';
import { Resolver } from '../resolve/resolver.ts';
import { formatAddress } from '../wire/address.ts';
import { Bandwidths } from './bandwidths.ts';
import { ConnectionLimits } from './connection-limits.ts';
import { serve } from './connection.ts';
import { NONE } from './change.ts';
import type { Change } from './change.ts';
import { connectionsPossible } from './descriptors.ts';
import { Failure } from './failure.ts';
import { Health } from './health.ts';
import type { Readiness } from './health.ts';
import { Listeners } from './listeners.ts';
import { defaultLimit, MemoryWatch } from './memory.ts';
import { OwnPorts } from './own-ports.ts';
import { Quotas } from './quotas.ts';
import { recheck } from './recheck.ts';
import { Sessions } from './sessions.ts';
import type { ConnectionLimitSettings, Settings } from './settings.ts';
import type { Decide, ServerState } from './state.ts';
import { readUsers, Users } from './users.ts';

/** What an embedding program can add to the configuration. */
export interface ServerHooks {
  /** Checks a user name and password in place of the users file; `undefined` refuses. */
  readonly authenticate?: Authenticate;
  /** Asked after the rules have allowed a request; `false` refuses it. */
  readonly decide?: Decide;
  /** Closes the server. */
  readonly signal?: AbortSignal;
}

/** `address` is the client's IP address. A rejection refuses this client and is logged. */
export type Authenticate = (
  username: string,
  password: string,
  address: string,
) => Identity | undefined | Promise<Identity | undefined>;

/** How often rules that have a `when` are asked again about open sessions, in milliseconds. */
const CLOCK = 15_000;

/** A running SOCKS server: its listeners, and all that their connections share. */
export class Server implements AsyncDisposable {
  readonly #state: ServerState;
  readonly #hooks: ServerHooks;
  readonly #users: Users;
  readonly #listeners: Listeners;
  readonly #memory: MemoryWatch;
  readonly #clock: NodeJS.Timeout;
  readonly #possibleConnections: number = connectionsPossible();
  #health: Health | undefined;
  #ending = false;
  /** What has to be over before the next thing may change the server. */
  #turn: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  /** Opens every listener. Rejects with Node's error, or with a UsersFileError. */
  static async start(settings: Settings, hooks: ServerHooks = {}): Promise<Server> {
    hooks.signal?.throwIfAborted();
    const { engine, why } = await chooseEngine(settings.engine);
    const server = new Server(engine, settings, hooks);
    server.log.info('engine', { name: engine.name, why });
    try {
      await (await server.#prepare(settings)).commit();
      hooks.signal?.throwIfAborted();
    } catch (error) {
      await server.close();
      throw error;
    }
    hooks.signal?.addEventListener('abort', server.#aborted);
    return server;
  }

  private constructor(engine: Engine, settings: Settings, hooks: ServerHooks) {
    const log = new Log(settings.log);
    const limits = new Limits(createLimitMemory(randomSeed()));
    const quotas = new Quotas(log);
    const sessions = new Sessions(log, limits, quotas);
    const ports = new OwnPorts();
    this.#hooks = hooks;
    this.#memory = new MemoryWatch(settings.limits.memory, () => sessions.size, log);
    this.#state = {
      engine,
      ports,
      sessions,
      limits,
      connections: new ConnectionLimits(settings.limits, limits, this.#memory),
      bandwidths: new Bandwidths(),
      quotas,
      log,
      policy: compile(settings.policy),
      decisions: 0,
      resolver: new Resolver(settings.resolve),
      timeouts: settings.timeouts,
      authenticator: undefined,
      decide: hooks.decide,
    };
    this.#listeners = new Listeners(engine, ports, {
      accepted: (client, listener) => void serve(client, listener, this.#state),
      failed: (code, { place }) => log.warn('a connection could not be accepted', { listener: place, code }),
    });
    this.#users = new Users(
      () => {
        log.info('users reloaded');
        recheck(this.#state);
      },
      (report) => log.error('users file not reloaded, the old users stay', { report }),
    );
    this.#clock = setInterval(() => {
      if (this.#state.policy.timed || this.#users.timed) recheck(this.#state);
    }, CLOCK).unref();
  }

  /** Where it listens, with real ports: `host:port`, or `unix:/path`. */
  get places(): readonly string[] {
    return this.#listeners.open.map(({ place }) => place);
  }

  /** The listeners that have an address, with real ports. */
  get addresses(): readonly Endpoint[] {
    return this.#listeners.open.filter(({ place }) => !place.startsWith('unix:')).map(({ local }) => local);
  }

  /** Where /healthz and /readyz are answered. */
  get health(): Endpoint | undefined {
    return this.#health?.at;
  }

  get log(): Log {
    return this.#state.log;
  }

  /** The open sessions, as records without an end. */
  sessions(): Record[] {
    return [...this.#state.sessions].map((session) => session.record());
  }

  /**
   * Puts new settings in force, then ends the sessions that they no longer allow. When it rejects, nothing has changed.
   * One at a time, and none once the server ends.
   */
  reload(settings: Settings): Promise<void> {
    const reloading = this.#turn.then(() => this.#reload(settings));
    this.#turn = reloading.catch(() => undefined); // its caller is told
    return reloading;
  }

  /** Refuses new connections and lets the open ones finish, up to the `drain` time-out; then ends them. */
  async drain(): Promise<void> {
    this.#ending = true;
    await this.#turn;
    await this.#listeners.close();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => late.resolve(), this.#state.timeouts.drain);
    await Promise.race([this.#state.sessions.empty(), late.promise]);
    clearTimeout(timer);
    this.#stopAll('drain');
    await this.close();
  }

  /** Ends every session at once and closes everything. */
  close(): Promise<void> {
    this.#ending = true;
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #aborted = (): void => void this.close();

  async #close(): Promise<void> {
    this.#hooks.signal?.removeEventListener('abort', this.#aborted);
    clearInterval(this.#clock);
    this.#memory[Symbol.dispose]();
    await this.#turn;
    await this.#listeners.close();
    this.#stopAll('close');
    await this.#state.sessions.empty();
    await this.#users[Symbol.asyncDispose]();
    this.#state.resolver.close();
    await this.#state.quotas.close();
    await this.#health?.[Symbol.asyncDispose]();
    await this.#state.log.close();
  }

  #stopAll(detail: string): void {
    for (const session of this.#state.sessions) session.stop(new Failure('admin', session.phase, detail));
  }

  async #reload(settings: Settings): Promise<void> {
    const change = await this.#prepare(settings);
    try {
      if (this.#ending) throw new Error('the server is ending');
      this.#state.log.reopen(settings.log);
    } catch (error) {
      await change.abort();
      throw error;
    }
    // The old resolver is not closed: sessions may still wait for its answers, and then it holds nothing.
    this.#state.resolver = new Resolver(settings.resolve);
    await change.commit();
    recheck(this.#state);
  }

  /** Does all that can fail, and nothing that shows: `commit` puts it in force, `abort` leaves everything as it was. */
  async #prepare(settings: Settings): Promise<Change> {
    const policy = compile(settings.policy);
    const users = settings.users && (await readUsers(settings.users));
    await using undo = new AsyncDisposableStack();
    const prepare = async (change: Promise<Change>): Promise<Change> =>
      undo.adopt(await change, ({ abort }) => abort());
    const changes = [
      await prepare(this.#listeners.prepare(settings.listeners)),
      await prepare(this.#prepareHealth(settings.health)),
      await prepare(this.#state.quotas.prepare(settings.stateFile)),
    ];
    const prepared = undo.move();
    const commit = async (): Promise<void> => {
      await this.#users.use(users);
      this.#use(settings, policy);
      for (const change of changes) await change.commit();
    };
    return { commit, abort: () => prepared.disposeAsync() };
  }

  #use(settings: Settings, policy: Policy): void {
    const { authenticate } = this.#hooks;
    this.#state.authenticator =
      authenticate === undefined ? this.#users.authenticator : embedded(authenticate);
    this.#state.policy = policy;
    this.#state.bandwidths.use(policy);
    this.#state.timeouts = settings.timeouts;
    this.#state.connections.use(this.#possible(settings.limits));
    this.#memory.limit = settings.limits.memory ?? defaultLimit();
  }

  /** As many connections as there are descriptors for, so that those that are let in can also be served. */
  #possible(limits: ConnectionLimitSettings): ConnectionLimitSettings {
    const possible = this.#possibleConnections;
    if (possible >= limits.connections) return limits;
    this.log.warn('descriptors are too few for limits: connections; raise ulimit -n or LimitNOFILE=', {
      connections: limits.connections,
      possible,
    });
    return { ...limits, connections: possible };
  }

  async #prepareHealth(at: Endpoint | undefined): Promise<Change> {
    const open = this.#health;
    if (open !== undefined && at !== undefined && formatAddress(open.wanted) === formatAddress(at))
      return NONE;
    const next = at && (await Health.open(at, () => this.#readiness(), this.#state.ports));
    const commit = async (): Promise<void> => {
      this.#health = next;
      await open?.[Symbol.asyncDispose]();
    };
    return { commit, abort: async () => next?.[Symbol.asyncDispose]() };
  }

  #readiness(): Readiness {
    const { log } = this.#state;
    const { cap } = this.#memory;
    const faults = [
      ...(this.#ending ? ['ending: no new connections'] : []),
      ...(cap === Infinity ? [] : [`memory is short: ${cap} connections at most`]),
      ...(log.fault === undefined ? [] : [`the log cannot be written: ${log.fault}, ${log.lost} lines lost`]),
    ];
    // Without its log garter still serves.
    return { ready: !this.#ending && this.#state.sessions.size < cap, faults };
  }
}

function randomSeed(): [number, number] {
  const [low, high] = getRandomValues(new Int32Array(2));
  return [low!, high!];
}

function embedded(authenticate: Authenticate): Authenticator {
  return {
    async verify(username, password, address) {
      const identity = await authenticate(username, password, address);
      return identity === undefined ? { ok: false, reason: 'wrong' } : { ok: true, identity };
    },
  };
}
