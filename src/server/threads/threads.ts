import { writeSync } from 'node:fs';
import { inspect } from 'node:util';
import type { Identity, PasswordVerdict } from '../../auth/identity.ts';
import type { EndDetail } from '../../audit/record.ts';
import { withTimeout } from '../../limits/timeout.ts';
import { closeAll, exitAtOnce, openListener } from '../../net/threads.ts';
import { compile } from '../../policy/compile.ts';
import type { Policy } from '../../policy/compile.ts';
import type { Outbound } from '../../route/outbound.ts';
import type { DecidingBasis } from '../basis.ts';
import type { Change } from '../change.ts';
import { RECHECK_INTERVAL } from '../clock.ts';
import type { SessionFilter } from '../session/filter.ts';
import type { Common, SessionPage, Workers, WorkerStatus } from '../workers.ts';
import { listenerName, Listeners } from '../listen/listeners.ts';
import type { ListenersChange, OpenListener } from '../listen/listeners.ts';
import { OwnPorts } from '../listen/own-ports.ts';
import type { QuotaStore } from '../limits/quota-store.ts';
import { hasSharedPort } from '../settings.ts';
import type { ListenerSettings, Settings } from '../settings.ts';
import type { ThreadCommon, Used } from './messages.ts';
import { WorkerHandle } from './worker-handle.ts';

/**
 * Milliseconds from a thread's death to its successor's start; the delay grows while successors die young.
 */
const RESTART = { first: 100, last: 10_000 } as const;
const MIN_UPTIME = 10_000;
/** Milliseconds within which a thread must answer or end. */
const PATIENCE = 3000;
/** To load the program and to start, on a machine that is busy with other things too. */
const PREPARATION = 60_000;

/**
 * Threads that serve, each with its own loop and connections. The server's own thread opens the listeners,
 * from which all threads accept; it writes the log, checks passwords and keeps the quotas. A thread that dies
 * is replaced.
 */
export class Threads implements Workers {
  readonly #common: Common;
  readonly #quotas: QuotaStore;
  readonly #listeners: Listeners;
  readonly #clock: NodeJS.Timeout;
  readonly #count: number;
  readonly #threads = new Set<WorkerHandle>();
  #last = 0;
  /** The settings in force. */
  #settings: Settings | undefined;
  /** Those of the settings; compiled when the server's own thread is asked to decide. */
  #policy: Policy | undefined;
  #day = '';
  #restart: number = RESTART.first;
  /** Settles when no change of settings is in progress. */
  #turn: Promise<unknown> = Promise.resolve();
  #closing = false;
  /** A thread that hangs was abandoned. */
  #abandoned = false;

  constructor(common: Common, quotas: QuotaStore, count: number) {
    this.#common = common;
    this.#quotas = quotas;
    this.#count = count;
    const nobody = { accepted: () => {}, failed: () => {} };
    this.#listeners = new Listeners({ listen: openListener }, new OwnPorts(), nobody);
    this.#clock = setInterval(() => this.#lookAtDay(), RECHECK_INTERVAL).unref();
    process.on('exit', this.#leave);
    process.on('uncaughtExceptionMonitor', tellOnStderr);
  }

  get open(): readonly OpenListener[] {
    return this.#listeners.open;
  }

  async prepare(settings: Settings): Promise<Change> {
    if (settings.listeners.some(hasSharedPort))
      throw new Error('udp: port needs a single thread: restart with workers: 1');
    const listeners = await this.#listeners.prepare(settings.listeners);
    await this.#turn;
    const over = Promise.withResolvers<void>();
    this.#turn = over.promise;
    const forThreads = settingsFor(settings, listeners);
    const abort = async (): Promise<void> => {
      await this.#all((thread) => patiently(thread.ask('abort')));
      await listeners.abort();
      over.resolve();
    };
    const commit = async (): Promise<void> => {
      this.#settings = forThreads;
      this.#policy = undefined;
      await this.#all((thread) => this.#commit(thread));
      await listeners.commit();
      over.resolve();
    };
    try {
      for (let i = this.#threads.size; i < this.#count && this.#settings === undefined; i++)
        this.#start(forThreads);
      await Promise.all(Array.from(this.#threads, (thread) => this.#prepare(thread, forThreads)));
    } catch (error) {
      await abort();
      throw error;
    }
    return { commit, abort };
  }

  async recheck(): Promise<void> {
    await this.#all((thread) => patiently(thread.ask('recheck')));
  }

  /** A socket cannot leave its thread. */
  handIn(): never {
    throw new Error('a connection can be handed in only where one thread serves: workers: 1');
  }

  /**
   * One thread after the other. Cursors are `THREAD`, or `THREAD:NEXT` within a thread that has more than a
   * page.
   */
  async sessions(after = '0', filter?: SessionFilter): Promise<SessionPage> {
    const [number, inThread] = after.split(':');
    const [thread, following] = [...this.#threads].filter((one) => one.number >= Number(number));
    if (thread === undefined) return NO_SESSIONS;
    const from = thread.number === Number(number) ? inThread : undefined;
    // Skip a thread that does not answer.
    const { records, next } = await patiently(thread.ask('sessions', { after: from, filter })).catch(
      () => NO_SESSIONS,
    );
    if (next !== undefined) return { records, next: `${thread.number}:${next}` };
    return following === undefined ? { records } : { records, next: String(following.number) };
  }

  async status(): Promise<readonly WorkerStatus[]> {
    const all = await this.#all(async (thread) => {
      const fault = `thread ${thread.number} ${thread.serves ? 'does not respond' : 'is starting'}`;
      const none = [{ open: 0, cap: 0, fault }];
      return thread.serves ? patiently(thread.ask('status')).catch(() => none) : none;
    });
    return all.flat();
  }

  basis(outbound: Outbound): DecidingBasis {
    const ports = new OwnPorts(this.#common.memory.ports);
    for (const { place, local } of this.open) if (!place.startsWith('unix:')) ports.add(local, 'tcp', true);
    this.#policy ??= compile(this.#settings!.policy);
    return { policy: this.#policy, ports, outbound };
  }

  async stopListening(): Promise<void> {
    this.#closing = true;
    await this.#all(async (thread) => {
      await patiently(thread.ask('stopListening')).catch(() => this.#giveUp(thread));
    });
    await this.#listeners.close();
  }

  async stopSessions(detail: EndDetail, filter?: SessionFilter): Promise<number> {
    const counts = await this.#all((thread) => patiently(thread.ask('stopSessions', { detail, filter })));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async empty(): Promise<void> {
    await this.#all((thread) => thread.ask('empty'));
  }

  async close(): Promise<void> {
    clearInterval(this.#clock);
    const ends = Array.from(this.#threads, (thread) => thread.ended);
    await this.#all((thread) => patiently(thread.ask('close')));
    await patiently(Promise.all(ends)).catch(() => undefined);
    if (this.#threads.size > 0 || this.#abandoned) return;
    process.off('exit', this.#leave);
    process.off('uncaughtExceptionMonitor', tellOnStderr);
  }

  /** The death of a thread does not count against the new settings: its successor gets them. */
  async #prepare(thread: WorkerHandle, settings: Settings): Promise<void> {
    try {
      await patiently(thread.ask('prepare', settings), PREPARATION);
    } catch (error) {
      if (this.#settings === undefined || this.#threads.has(thread)) throw error;
    }
  }

  async #commit(thread: WorkerHandle): Promise<void> {
    this.#day = this.#quotas.day;
    const common: ThreadCommon = {
      users: this.#common.authenticator() !== undefined,
      journal: this.#common.journal.isRead,
      used: [...this.#quotas],
    };
    await patiently(thread.ask('commit', common));
    thread.serves = true;
  }

  /** A thread that has not gone hangs, and must not be terminated: stop waiting for it. */
  #giveUp(thread: WorkerHandle): void {
    if (!this.#threads.has(thread)) return;
    this.#common.log.error('thread-hangs', { thread: thread.number });
    this.#abandoned = true;
    this.#threads.delete(thread);
    thread.end(new Error(`thread ${thread.number} does not respond`));
  }

  /** The answers of all threads; those that die meanwhile are left out. */
  async #all<T>(ask: (thread: WorkerHandle) => Promise<T>): Promise<T[]> {
    const answers = await Promise.allSettled(Array.from(this.#threads, ask));
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  }

  #start(settings: Settings): WorkerHandle {
    const thread = new WorkerHandle(
      {
        number: ++this.#last,
        threads: this.#count,
        memory: this.#common.memory,
        settings,
        hasLogReader: this.#common.log.hasReader,
      },
      {
        lines: (lines) => {
          for (const line of lines) this.#common.log.push(line);
        },
        entries: (entries) => {
          for (const { record, event, silenced } of entries)
            this.#common.journal.write({ record: () => record }, event, silenced);
        },
        verify: ({ name, password, client }) => this.#verify(name, password, client),
        identities: (names) => this.#identities(names),
        used: (used) => this.#add(used),
      },
    );
    this.#threads.add(thread);
    const startedAt = performance.now();
    void thread.ended.then((error) => this.#ended(thread, error, performance.now() - startedAt));
    return thread;
  }

  #ended(thread: WorkerHandle, error: Error | undefined, age: number): void {
    this.#threads.delete(thread);
    closeAll(thread.owned);
    if (this.#closing || this.#settings === undefined) return;
    this.#common.log.error('thread-died', {
      thread: thread.number,
      error: error?.stack ?? 'no error',
    });
    if (age >= MIN_UPTIME) this.#restart = RESTART.first;
    setTimeout(() => {
      this.#turn = this.#turn.then(() => this.#replace());
    }, this.#restart);
    this.#restart = Math.min(this.#restart * 2, RESTART.last);
  }

  async #replace(): Promise<void> {
    if (this.#closing) return;
    const settings = this.#settings!;
    const thread = this.#start(settings);
    try {
      await patiently(thread.ask('prepare', settings), PREPARATION);
      if (!this.#closing) await this.#commit(thread);
    } catch (error) {
      // A thread that died has been reported, and has a successor.
      if (!this.#threads.has(thread)) return;
      const { message } = error as Error;
      this.#common.log.error('thread-not-started', { thread: thread.number, reason: message });
      await patiently(thread.ask('close')).catch(() => this.#giveUp(thread));
    }
  }

  async #verify(name: string, password: string, client: string): Promise<PasswordVerdict> {
    return (await this.#common.authenticator()?.verify(name, password, client)) ?? NOBODY;
  }

  async #identities(names: readonly string[]): Promise<readonly (Identity | undefined)[]> {
    return (await this.#common.authenticator()?.identities?.(names)) ?? [];
  }

  #add(used: Used): void {
    for (const [rule, user, bytes] of used) this.#quotas.add(rule, user, bytes);
    this.#lookAtDay();
    const totals = used.map(([rule, user]) => [rule, user, this.#quotas.used(rule, user)] as const);
    for (const thread of this.#threads) thread.tell('used', totals);
  }

  #lookAtDay(): void {
    const { day } = this.#quotas;
    if (day === this.#day) return;
    this.#day = day;
    for (const thread of this.#threads) thread.tell('newDay');
  }

  readonly #leave = (code: number): void => {
    if (this.#threads.size > 0 || this.#abandoned) exitAtOnce(code);
  };
}

/** Rejects when there is no answer in time. */
function patiently<T>(work: Promise<T>, patience: number = PATIENCE): Promise<T> {
  return withTimeout(work, patience, () => {
    throw new Error('a thread does not respond');
  });
}

/** Node would print it only after its `exit` event, which is too late here. */
function tellOnStderr(error: Error): void {
  writeSync(2, `${inspect(error)}\n`);
}

const NO_SESSIONS: SessionPage = { records: [] };
const NOBODY: PasswordVerdict = { ok: false, reason: 'wrong' };

/** The settings for threads: listeners are already open, and passwords are checked by the server. */
function settingsFor(settings: Settings, { open }: ListenersChange): Settings {
  const listeners = open.map(([{ fd, place }, listener]): ListenerSettings => {
    return { ...listener, name: listenerName(listener), address: { shared: fd!, place } };
  });
  const told = { ...settings, listeners };
  delete told.users;
  return told;
}
