import type { EndDetail } from '../audit/record.ts';
import type { Socket } from 'node:net';
import { recordLines } from '../audit/record-lines.ts';
import type { Connection, Engine } from '../net/engine.ts';
import { handedIn } from '../net/handed-in.ts';
import { Spare } from '../limits/spare.ts';
import { compile } from '../policy/compile.ts';
import { Limits } from '../limits/limits.ts';
import { Associations, budgetFor } from './limits/associations.ts';
import { Bandwidths } from './limits/bandwidths.ts';
import type { DecidingBasis } from './basis.ts';
import type { Change } from './change.ts';
import { ConnectionLimits } from './limits/connections.ts';
import { serve } from './connection.ts';
import { RECHECK_INTERVAL } from './clock.ts';
import type { Common, SessionPage, Workers, WorkerStatus } from './workers.ts';
import { lingeringPossible, sparePossible } from './limits/descriptors.ts';
import { Failure } from './failure.ts';
import { Listeners } from './listen/listeners.ts';
import type { OpenListener } from './listen/listeners.ts';
import { defaultLimit, MemoryWatch } from './limits/memory.ts';
import { OwnPorts } from './listen/own-ports.ts';
import { Quotas } from './limits/quotas.ts';
import { matches } from './session/filter.ts';
import type { SessionFilter } from './session/filter.ts';
import { Interim } from './session/interim.ts';
import { recheckByClock, recheckUsers } from './session/recheck.ts';
import { RelayPorts } from './listen/relay-ports.ts';
import type { Session } from './session/session.ts';
import { SharedPorts } from './listen/shared-ports.ts';
import { Sessions } from './session/sessions.ts';
import type { Settings } from './settings.ts';
import type { Decide } from './hooks.ts';
import type { ServerState } from './session/state.ts';
import { outboundFor } from './upstreams.ts';

/** Connections that can arrive between the opening of the listeners and the first settings. */
const EARLY = 1024;

export interface WorkerOptions {
  /** The index among several threads, which is part of session ids. @default the only one */
  readonly thread?: number;
  /** The number of threads. @default 1 */
  readonly threads?: number;
  readonly decide?: Decide | undefined;
}

/** The connections of one thread, and their shared state. */
export class Worker implements Workers {
  readonly #common: Common;
  readonly #state: ServerState;
  readonly #listeners: Listeners;
  readonly #memory: MemoryWatch;
  readonly #interim: Interim<Session>;
  readonly #clock: NodeJS.Timeout;
  readonly #spare: Spare;
  /** Settles when no look-up of users' identities is in progress. */
  #rechecked = Promise.resolve();
  /** Connections that arrived before the first settings were in force. */
  #early: [Connection, OpenListener][] | undefined = [];

  constructor(
    engine: Engine,
    common: Common,
    settings: Settings,
    { thread, threads = 1, decide }: WorkerOptions = {},
  ) {
    const { log, journal, memory } = common;
    journal.subscribe(recordLines(log));
    const limits = new Limits(memory.limits);
    const quotas = new Quotas(common.usage);
    const sessions = new Sessions(common, limits, quotas, lingeringPossible(threads), thread);
    const ports = new OwnPorts(memory.ports);
    this.#spare = new Spare(sparePossible(), memory.spare);
    this.#common = common;
    const associations = new Associations(() => budgetFor(this.#memory.limit, threads));
    const forget = (bytes: number): number => associations.forget(bytes);
    this.#memory = new MemoryWatch(settings.limits.memory, sessions, log, { forget, threads });
    this.#state = {
      engine,
      ports,
      relayPorts: new RelayPorts(engine),
      sharedPorts: new SharedPorts(engine, ports),
      sessions,
      limits,
      connections: new ConnectionLimits(
        settings.limits,
        limits,
        { waiting: memory.waiting, threads },
        this.#memory,
      ),
      bandwidths: new Bandwidths(limits),
      quotas,
      associations,
      log,
      policy: compile({ rules: [] }),
      decisions: 0,
      outbound: outboundFor(settings, {
        engine,
        spare: this.#spare,
        ports,
        log,
        healthMemory: memory.health,
        linkFailed: (upstream, fault) =>
          log.warnSeldom('upstream-link-failed', { server: upstream, ...fault }),
      }),
      timeouts: settings.timeouts,
      authenticator: common.authenticator(),
      decide,
    };
    this.#listeners = new Listeners(engine, ports, {
      accepted: (client, listener) => this.#accepted(client, listener),
      failed: (code, { place }) => log.warn('accept-failed', { listener: place, code }),
    });
    this.#interim = new Interim(sessions, (session) => sessions.recordInterim(session));
    this.#clock = setInterval(() => recheckByClock(this.#state), RECHECK_INTERVAL).unref();
  }

  get open(): readonly OpenListener[] {
    return this.#listeners.open;
  }

  async prepare(settings: Settings): Promise<Change> {
    const policy = compile(settings.policy);
    const listeners = await this.#listeners.prepare(settings.listeners);
    const commit = async (): Promise<void> => {
      const state = this.#state;
      state.authenticator = this.#common.authenticator();
      state.policy = policy;
      state.bandwidths.use(policy);
      state.timeouts = settings.timeouts;
      state.connections.use(settings.limits);
      this.#memory.limit = settings.limits.memory ?? defaultLimit();
      state.outbound.use(settings);
      this.#interim.use(settings.interim);
      await listeners.commit();
      const rechecked = this.recheck();
      const early = this.#early ?? [];
      this.#early = undefined;
      for (const [client, listener] of early) void serve(client, listener, state);
      await rechecked;
    };
    return { commit, abort: listeners.abort };
  }

  /** One at a time, so that the latest identities win. */
  recheck(): Promise<void> {
    this.#state.decisions++;
    this.#rechecked = this.#rechecked.then(() => recheckUsers(this.#state));
    return this.#rechecked;
  }

  handIn(socket: Socket, place: string): void {
    const listener = this.#listeners.at(place);
    const client = handedIn(socket);
    if (client !== undefined) this.#accepted(client, listener);
  }

  async sessions(after = '0', filter: SessionFilter = {}): Promise<SessionPage> {
    const wanted = (session: Session): boolean => matches(session, filter);
    const { sessions, next } = this.#state.sessions.page(Number(after), undefined, wanted);
    const records = sessions.map((session) => session.record());
    return next === undefined ? { records } : { records, next: String(next) };
  }

  async status(): Promise<readonly WorkerStatus[]> {
    return [{ open: this.#state.sessions.size, cap: this.#memory.cap }];
  }

  basis(): DecidingBasis {
    return this.#state;
  }

  stopListening(): Promise<void> {
    return this.#listeners.close();
  }

  async stopSessions(detail: EndDetail, filter: SessionFilter = {}): Promise<number> {
    return this.#state.sessions.stop((session) =>
      matches(session, filter) ? new Failure('admin', session.phase, detail) : undefined,
    );
  }

  empty(): Promise<void> {
    return this.#state.sessions.empty();
  }

  async close(): Promise<void> {
    clearInterval(this.#clock);
    this.#interim[Symbol.dispose]();
    for (const [client] of this.#early ?? []) client.destroy();
    this.#state.outbound.close();
    this.#memory[Symbol.dispose]();
    this.#state.quotas[Symbol.dispose]();
    this.#state.associations[Symbol.dispose]();
  }

  #accepted(client: Connection, listener: OpenListener): void {
    if (this.#early === undefined) void serve(client, listener, this.#state);
    else if (this.#early.length < EARLY) this.#early.push([client, listener]);
    else client.destroy();
  }

  /** For a thread that dies: records its sessions, and undoes its counts in shared memory. Closes nothing. */
  abandon(): void {
    const { sessions, connections, ports, outbound, bandwidths } = this.#state;
    sessions.abandon('thread');
    outbound.health.forgetAll();
    connections.forgetAll();
    ports.forgetAll();
    bandwidths.forgetAll();
    this.#spare.forgetAll();
  }
}
