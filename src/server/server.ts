import { getRandomValues } from 'node:crypto';
import { Log } from '../audit/log.ts';
import type { Record } from '../audit/record.ts';
import type { Authenticator, Identity } from '../auth/authenticator.ts';
import type { Endpoint, Listener } from '../net/engine.ts';
import { PortableEngine } from '../net/portable.ts';
import { compile } from '../policy/compile.ts';
import { createLimitMemory, Limits } from '../policy/limits.ts';
import { Resolver } from '../resolve/resolver.ts';
import { serve } from './connection.ts';
import { formatAddress } from '../wire/address.ts';
import { Failure } from './failure.ts';
import { OwnPorts } from './own-ports.ts';
import { recheck } from './recheck.ts';
import { Sessions } from './sessions.ts';
import type { ListenerSettings, Settings } from './settings.ts';
import type { Decide, ServerState } from './state.ts';
import { readUsers, Users } from './users.ts';
import type { ReadUsers } from './users.ts';

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
  readonly #clock: NodeJS.Timeout;
  #listeners: OpenListener[] = [];
  #closed: Promise<void> | undefined;

  /** Opens every listener. Rejects with Node's error, or with a UsersFileError. */
  static async start(settings: Settings, hooks: ServerHooks = {}): Promise<Server> {
    hooks.signal?.throwIfAborted();
    const users = settings.users && (await readUsers(settings.users));
    const server = new Server(settings, hooks);
    try {
      await server.#use(settings, users);
      server.#listeners = await server.#open(settings.listeners);
    } catch (error) {
      await server.close();
      throw error;
    }
    hooks.signal?.addEventListener('abort', () => void server.close(), { once: true });
    return server;
  }

  private constructor(settings: Settings, hooks: ServerHooks) {
    const log = new Log(settings.log);
    const limits = new Limits(createLimitMemory(randomSeed()));
    this.#hooks = hooks;
    this.#state = {
      engine: new PortableEngine(),
      ports: new OwnPorts(),
      sessions: new Sessions(log, limits),
      limits,
      log,
      policy: compile(settings.policy),
      decisions: 0,
      resolver: new Resolver(settings.resolve),
      timeouts: settings.timeouts,
      authenticator: undefined,
      decide: hooks.decide,
    };
    this.#users = new Users(
      () => {
        log.info('users reloaded');
        recheck(this.#state);
      },
      (report) => log.error('users file not reloaded, the old users stay', { report }),
    );
    this.#clock = setInterval(() => {
      if (this.#state.policy.timed) recheck(this.#state);
    }, CLOCK).unref();
  }

  /** Where it listens, with real ports. */
  get addresses(): readonly Endpoint[] {
    return this.#listeners.map(({ listener }) => listener.local);
  }

  get log(): Log {
    return this.#state.log;
  }

  /** The open sessions, as records without an end. */
  sessions(): Record[] {
    return [...this.#state.sessions].map((session) => session.record());
  }

  /** Puts new settings in force, then ends the sessions that they no longer allow. When it rejects, nothing has changed. */
  async reload(settings: Settings): Promise<void> {
    const users = settings.users && (await readUsers(settings.users));
    const opened = await this.#open(settings.listeners.filter((wanted) => this.#find(wanted) === undefined));
    try {
      this.#state.log.reopen(settings.log);
    } catch (error) {
      await closeAll(opened);
      throw error;
    }
    // The old resolver is not closed: sessions may still wait for its answers, and then it holds nothing.
    this.#state.resolver = new Resolver(settings.resolve);
    await this.#use(settings, users);
    const kept = settings.listeners.flatMap((wanted) => {
      const open = this.#find(wanted);
      if (open === undefined) return [];
      open.settings = wanted;
      return [open];
    });
    const gone = this.#listeners.filter((open) => !kept.includes(open));
    this.#listeners = [...kept, ...opened];
    await closeAll(gone);
    recheck(this.#state);
  }

  /** Refuses new connections and lets the open ones finish, up to the `drain` time-out; then ends them. */
  async drain(): Promise<void> {
    await closeAll(this.#listeners.splice(0));
    const late = setTimeout(() => this.#stopAll('drain'), this.#state.timeouts.drain);
    await this.#state.sessions.empty();
    clearTimeout(late);
    await this.close();
  }

  /** Ends every session at once and closes everything. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    clearInterval(this.#clock);
    await closeAll(this.#listeners.splice(0));
    this.#stopAll('close');
    await this.#state.sessions.empty();
    await this.#users[Symbol.asyncDispose]();
    this.#state.resolver.close();
    await this.#state.log.close();
  }

  #stopAll(detail: string): void {
    for (const session of this.#state.sessions) session.stop(new Failure('admin', session.phase, detail));
  }

  async #use(settings: Settings, users: ReadUsers | undefined): Promise<void> {
    await this.#users.use(users);
    const { authenticate } = this.#hooks;
    this.#state.authenticator =
      authenticate === undefined ? this.#users.authenticator : embedded(authenticate);
    this.#state.policy = compile(settings.policy);
    this.#state.timeouts = settings.timeouts;
  }

  #find(wanted: ListenerSettings): OpenListener | undefined {
    return this.#listeners.find(
      ({ settings: { address } }) =>
        address.host === wanted.address.host && address.port === wanted.address.port,
    );
  }

  /** Opens all of these, or none. */
  async #open(wanted: readonly ListenerSettings[]): Promise<OpenListener[]> {
    const opened: OpenListener[] = [];
    try {
      for (const settings of wanted) opened.push(await this.#openOne(settings));
      return opened;
    } catch (error) {
      await closeAll(opened);
      throw error;
    }
  }

  async #openOne(settings: ListenerSettings): Promise<OpenListener> {
    const { engine, ports } = this.#state;
    const open = { settings };
    const listener = await engine.listen(
      settings.address,
      (client) => void serve(client, open.settings, this.#state),
      (code) =>
        this.#state.log.warn('a connection could not be accepted', {
          listener: formatAddress(settings.address),
          code,
        }),
    );
    return Object.assign(open, { listener, forget: ports.add(listener.local, 'tcp') });
  }
}

function randomSeed(): [number, number] {
  const [low, high] = getRandomValues(new Int32Array(2));
  return [low!, high!];
}

interface OpenListener {
  /** A reload changes them for the connections to come. */
  settings: ListenerSettings;
  readonly listener: Listener;
  readonly forget: () => void;
}

async function closeAll(listeners: readonly OpenListener[]): Promise<void> {
  for (const { listener, forget } of listeners) {
    await listener.close();
    forget();
  }
}

function embedded(authenticate: Authenticate): Authenticator {
  return {
    async verify(username, password, address) {
      const identity = await authenticate(username, password, address);
      return identity === undefined ? { ok: false, reason: 'wrong' } : { ok: true, identity };
    },
  };
}
