import type { Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { inspect } from 'node:util';
import type { Fields } from '../audit/line.ts';
import { Journal } from '../audit/journal.ts';
import { Log } from '../audit/log.ts';
import { isEnd } from '../audit/record.ts';
import type { ConnectionRecord } from '../audit/record.ts';
import { Spare } from '../limits/spare.ts';
import { isOver } from '../auth/identity.ts';
import type { Authentication } from '../auth/identity.ts';
import type { Engine } from '../net/engine.ts';
import type { Endpoint } from '../wire/address.ts';
import { chooseEngine } from '../net/choose.ts';
import { Checks } from '../route/checks.ts';
import type { Outbound } from '../route/outbound.ts';
import { withTimeout } from '../limits/timeout.ts';
import type { Member } from '../auth/users-file.ts';
import type { Attachment } from './attachment.ts';
import type { DecidingBasis } from './basis.ts';
import type { Change } from './change.ts';
import { Worker } from './worker.ts';
import { connectionsPossible, sparePossible, threadsPossible } from './limits/descriptors.ts';
import type { Common, SessionPage, Workers, WorkerStatus } from './workers.ts';
import { checkDevices } from './listen/devices.ts';
import { shield } from './hooks.ts';
import type { Authenticate, ServerHooks } from './hooks.ts';
import { OwnPorts } from './listen/own-ports.ts';
import { QuotaStore } from './limits/quota-store.ts';
import { hasSharedPort } from './settings.ts';
import type { ConnectionLimitSettings, Settings } from './settings.ts';
import type { SessionFilter } from './session/filter.ts';
import { createSharedMemory } from './thread-memory.ts';
import type { Threads as ThreadsType } from './threads/threads.ts';
import { outboundFor } from './upstreams.ts';
import { readUsers, Users } from './users.ts';
import { readVersion } from './version.ts';

/** The hooks of an embedding program, and where to complain when the log cannot be written. */
export interface StartOptions extends ServerHooks {
  /** Makes what belongs to the server and serves no clients. @default nothing */
  readonly attachments?: ((server: Server) => readonly Attachment[]) | undefined;
  readonly complain?: ((text: string) => void) | undefined;
}

/** What is chosen at the start, and no reload changes. */
interface Chosen {
  readonly engine: Engine;
  /** Why this engine. */
  readonly why: string;
  readonly workers: number;
  readonly Threads: typeof ThreadsType | undefined;
}

/** Possible connections below which there is a warning even if the configuration does not ask for more. */
const FEW = 1000;

/** The state of a server as a whole. */
export interface ServerStatus {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly engine: string;
  readonly workers: readonly WorkerStatus[];
  /** It accepts no connections any more. */
  readonly ending: boolean;
  /** Why the log cannot be written at the moment, and the lines lost for that. */
  readonly log: { readonly fault: string | undefined; readonly lost: number };
}

/** A running SOCKS server: everything that exists once, and the workers, which serve the connections. */
export class Server implements AsyncDisposable {
  /**
   * Receives the records of all sessions. With several threads, a later subscriber receives theirs from the
   * next reload on.
   */
  readonly journal: Journal;
  readonly #engine: Engine;
  readonly #hooks: StartOptions;
  readonly #log: Log;
  /** What runs here, for the log. */
  readonly #program: Fields;
  readonly #users: Users;
  readonly #quotas: QuotaStore;
  readonly #ports: OwnPorts;
  /** For checks of upstreams. */
  readonly #outbound: Outbound;
  readonly #spare: Spare;
  #checks: Checks | undefined;
  readonly #workers: Workers;
  readonly #possibleConnections: number;
  readonly #startedAt = Date.now();
  #settings: Settings;
  readonly #attachments: readonly Attachment[];
  #ending = false;
  /** Settles when the next change of the server can begin. */
  #turn: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  /** Opens every listener. Rejects with Node's error, or with a UsersFileError. */
  static async start(settings: Settings, hooks: StartOptions = {}): Promise<Server> {
    hooks.signal?.throwIfAborted();
    const { engine, why } = await chooseEngine(settings.engine);
    const workers = workersFor(settings, engine, hooks);
    // This module loads the fast engine, which may not work here.
    const { Threads } = workers === 1 ? {} : await import('./threads/threads.ts');
    const server = new Server({ engine, why, workers, Threads }, settings, hooks);
    try {
      await server.#next(async () => (await server.#prepare(settings)).commit());
      hooks.signal?.throwIfAborted();
    } catch (error) {
      await server.close();
      throw error;
    }
    hooks.signal?.addEventListener('abort', server.#aborted);
    return server;
  }

  private constructor({ engine, why, workers, Threads }: Chosen, settings: Settings, hooks: StartOptions) {
    this.#program = {
      version: readVersion(),
      node: process.versions.node,
      pid: process.pid,
      engine: engine.name,
      why,
      workers,
    };
    const memory = createSharedMemory();
    this.#engine = engine;
    this.#hooks = hooks;
    const { onLog, onRecord, complain } = hooks;
    this.#log = new Log(settings.log, { reader: onLog && shield(onLog, () => {}), complain });
    this.journal = new Journal(this.#log);
    if (onRecord !== undefined) {
      const failed = (error: unknown): void =>
        this.#log.errorSeldom('hook-failed', { error: inspect(error) });
      this.journal.subscribe({ wants: isEnd, take: shield(onRecord, failed) });
    }
    this.#quotas = new QuotaStore(this.#log);
    this.#ports = new OwnPorts(memory.ports);
    this.#spare = new Spare(sparePossible(), memory.spare);
    this.#outbound = outboundFor(settings, {
      engine,
      spare: this.#spare,
      ports: this.#ports,
      log: this.#log,
      // A certificate's fault is logged as the reason why the upstream is down.
      healthMemory: memory.health,
    });
    this.#settings = settings;
    this.#users = new Users(
      () => void this.#usersChanged(),
      (report) => this.#log.error('users-not-reloaded', { report }),
    );
    const { authenticate, decide } = hooks;
    const embedder = authenticate && embedded(authenticate);
    const common: Common = {
      log: this.#log,
      journal: this.journal,
      memory,
      usage: this.#quotas,
      authenticator: () => embedder ?? this.#users.authenticator,
    };
    this.#possibleConnections = connectionsPossible(workers);
    this.#workers =
      Threads === undefined
        ? new Worker(engine, common, settings, { decide })
        : new Threads(common, this.#quotas, workers);
    this.#attachments = hooks.attachments?.(this) ?? [];
  }

  /** The listening addresses, with actual ports: `host:port`, or `unix:/path`. */
  get places(): readonly string[] {
    return this.#workers.open.map(({ place }) => place);
  }

  /** The listening addresses other than unix sockets, with actual ports. */
  get addresses(): readonly Endpoint[] {
    return this.#workers.open.filter(({ place }) => !place.startsWith('unix:')).map(({ local }) => local);
  }

  /** Marks a port as out of reach for clients until the returned function is called. */
  ownsPort(at: Endpoint): () => void {
    return this.#ports.add(at, 'tcp');
  }

  /** Milliseconds for which open sessions may finish when the server drains. */
  get drainTime(): number {
    return this.#settings.timeouts.drain;
  }

  get log(): Log {
    return this.#log;
  }

  /** Logs what is in force: users as a number, never by name. */
  report(event: 'started' | 'reloaded'): void {
    this.#log.info(event, {
      ...(event === 'started' && this.#program),
      listeners: this.places.join(','),
      users: this.#users.count,
    });
  }

  /**
   * Serves a TCP connection that was accepted elsewhere, and not read from, as if it had come to one of
   * `places`. Throws where several threads serve, and a RangeError when there is no such place.
   */
  handIn(socket: Socket, place: string): void {
    this.#workers.handIn(socket, place);
  }

  /** What is in force: as configured, but with the limit on connections that the machine allows. */
  get settings(): Settings {
    return this.#settings;
  }

  /** The basis on which requests are decided. */
  get basis(): DecidingBasis {
    return this.#workers.basis(this.#outbound);
  }

  /** The local user of that name, even if expired. */
  userNamed(name: string): Member | undefined {
    return this.#users.find(name);
  }

  async status(): Promise<ServerStatus> {
    const { fault, lost } = this.#log;
    return {
      startedAt: this.#startedAt,
      engine: this.#engine.name,
      workers: await this.#workers.status(),
      ending: this.#ending,
      log: { fault, lost },
    };
  }

  /** The open sessions that match, a page at a time. `after`: the `next` of the page before. */
  sessionPage(after: string | undefined, filter: SessionFilter): Promise<SessionPage> {
    return this.#workers.sessions(after, filter);
  }

  /** Ends the sessions that match; returns their number. */
  endSessions(filter: SessionFilter): Promise<number> {
    return this.#workers.stopSessions('killed', filter);
  }

  /** The open sessions, as records without an end. */
  async sessions(): Promise<readonly ConnectionRecord[]> {
    const records: ConnectionRecord[] = [];
    let page: SessionPage | undefined;
    do {
      page = await this.#workers.sessions(page?.next);
      records.push(...page.records);
    } while (page.next !== undefined);
    return records;
  }

  /**
   * Applies new settings, then ends the sessions that they no longer allow. When it rejects, nothing has
   * changed. Reloads run one at a time, and none starts once the server is ending.
   */
  reload(settings: Settings): Promise<void> {
    return this.#next(() => this.#reload(settings));
  }

  /** Refuses new connections and lets the open ones finish, up to the `drain` time-out; then ends them. */
  async drain(): Promise<void> {
    this.#ending = true;
    await this.#turn;
    await this.#workers.stopListening();
    await withTimeout(this.#workers.empty(), this.#settings.timeouts.drain, () => {});
    await this.#workers.stopSessions('drain');
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
    await this.#turn;
    this.#checks?.close();
    this.#outbound.close();
    await this.#workers.stopListening();
    await this.#workers.stopSessions('close');
    await this.#workers.empty();
    await this.#users[Symbol.asyncDispose]();
    await this.#workers.close();
    await this.#quotas.close();
    for (const attachment of this.#attachments) await attachment[Symbol.asyncDispose]();
    await this.#log.close();
  }

  /** Changes take turns. */
  #next(change: () => Promise<void>): Promise<void> {
    const changing = this.#turn.then(change);
    this.#turn = changing.catch(() => undefined); // its caller gets the error
    return changing;
  }

  async #usersChanged(): Promise<void> {
    await this.#workers.recheck();
    this.#log.info('users-reloaded', { users: this.#users.count });
  }

  async #reload(settings: Settings): Promise<void> {
    const change = await this.#prepare(settings);
    try {
      if (this.#ending) throw new Error('the server is ending');
      this.#log.reopen(settings.log);
    } catch (error) {
      await change.abort();
      throw error;
    }
    await change.commit();
  }

  /**
   * Does everything that can fail, without visible effect: `commit` applies it, `abort` leaves everything as
   * it was.
   */
  async #prepare(wanted: Settings): Promise<Change> {
    checkDevices(wanted, this.#engine);
    const settings = { ...wanted, limits: this.#possible(wanted.limits) };
    const users = settings.users && (await readUsers(settings.users));
    if (users?.file?.exposed === true) {
      const { path } = users.file;
      this.#log.warn('users-exposed', {
        path,
        remedy: `chmod o-r ${path}`,
      });
    }
    await using undo = new AsyncDisposableStack();
    const prepare = async (change: Promise<Change>): Promise<Change> =>
      undo.adopt(await change, ({ abort }) => abort());
    const changes: Change[] = [];
    for (const attachment of this.#attachments) changes.push(await prepare(attachment.prepare(settings)));
    changes.push(
      await prepare(this.#quotas.prepare(settings.stateFile)),
      await prepare(this.#workers.prepare(settings)),
    );
    const prepared = undo.move();
    const commit = async (): Promise<void> => {
      await this.#users.use(users);
      this.#settings = settings;
      for (const change of changes) await change.commit();
      this.#checks?.close();
      this.#outbound.use(settings);
      this.#checks = new Checks(this.#outbound, this.#spare);
    };
    return { commit, abort: () => prepared.disposeAsync() };
  }

  /** Limits connections to the available descriptors, so that every accepted one can be served. */
  #possible(limits: ConnectionLimitSettings): ConnectionLimitSettings {
    const possible = this.#possibleConnections;
    if (possible >= limits.connections) return limits;
    if (limits.demanded === true || possible < FEW)
      this.#log.warn('descriptors-short', { connections: limits.connections, possible });
    return { ...limits, connections: possible };
  }
}

/** An embedding program's functions are called in its own thread. */
function workersFor(
  { listeners, workers }: Settings,
  { sharesListeners }: Engine,
  { authenticate, decide }: ServerHooks,
): number {
  if (!sharesListeners || authenticate !== undefined || decide !== undefined) return 1;
  if (workers === 'auto' && listeners.some(hasSharedPort)) return 1;
  return workers === 'auto' ? Math.min(availableParallelism(), threadsPossible()) : workers;
}

function embedded(authenticate: Authenticate): Authentication {
  return {
    async verify(name, password, client) {
      const identity = await authenticate(name, password, client);
      if (identity === undefined) return { ok: false, reason: 'wrong' };
      return isOver(identity, Date.now()) ? { ok: false, reason: 'expired' } : { ok: true, identity };
    },
  };
}
