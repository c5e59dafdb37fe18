import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Record } from '../audit/record.ts';
import type { PasswordVerdict } from '../auth/authenticator.ts';
import { openListener } from '../net/fast/listen.ts';
import { closeAll, createOwnedMemory, exitAtOnce } from '../net/fast/threads.ts';
import type { Change } from './change.ts';
import { Channel } from './channel.ts';
import type { Common, Crew, Standing } from './crew.ts';
import { Listeners } from './listeners.ts';
import type { ListenersChange, OpenListener } from './listeners.ts';
import { OwnPorts } from './own-ports.ts';
import type { QuotaBook } from './quota-book.ts';
import type { ListenerSettings, Settings } from './settings.ts';
import type { Members, ServerCalls, ThreadCalls, ThreadStart, Used } from './thread-calls.ts';
import type { Users } from './users.ts';

/** Milliseconds: from the death of a thread to its successor's start, longer while they die young. */
const RESTART = { first: 100, last: 10_000 } as const;
const YOUNG = 10_000;
/** Milliseconds that a thread may take to answer, where something depends on it, and to end. */
const PATIENCE = 3000;
/** MiB of a thread's heap for young objects: as in bin/garter, of which V8 takes three. */
const YOUNG_OBJECTS = 24;
/** How often the day of the quotas is looked at. */
const CLOCK = 15_000;

/**
 * Threads that serve, each with its own loop and connections. The server's own thread opens the listeners, which all of them
 * accept from; it writes the log, checks passwords and keeps the quotas. A thread that dies is replaced.
 */
export class Threads implements Crew {
  readonly #common: Common;
  readonly #quotas: QuotaBook;
  readonly #users: Users;
  readonly #listeners: Listeners;
  readonly #clock: NodeJS.Timeout;
  readonly #count: number;
  readonly #threads = new Set<Thread>();
  #last = 0;
  /** In force. */
  #settings: Settings | undefined;
  #day = '';
  #restart: number = RESTART.first;
  /** Over when nobody changes the settings. */
  #turn: Promise<unknown> = Promise.resolve();
  #closing = false;
  /** There is one that hangs. */
  #abandoned = false;

  constructor(common: Common, quotas: QuotaBook, users: Users, count: number) {
    this.#common = common;
    this.#quotas = quotas;
    this.#users = users;
    this.#count = count;
    const nobody = { accepted: () => {}, failed: () => {} };
    this.#listeners = new Listeners(
      { name: 'fast', listen: openListener },
      new OwnPorts(common.memory.ports),
      nobody,
    );
    this.#clock = setInterval(() => this.#lookAtDay(), CLOCK).unref();
    process.on('exit', this.#leave);
  }

  get open(): readonly OpenListener[] {
    return this.#listeners.open;
  }

  async prepare(settings: Settings): Promise<Change> {
    const listeners = await this.#listeners.prepare(settings.listeners);
    await this.#turn;
    const over = Promise.withResolvers<void>();
    this.#turn = over.promise;
    const forThreads = settingsFor(settings, listeners);
    const abort = async (): Promise<void> => {
      await this.#all((thread) => thread.ask('abort'));
      await listeners.abort();
      over.resolve();
    };
    const commit = async (): Promise<void> => {
      this.#settings = forThreads;
      await this.#all((thread) => thread.ask('commit', this.#inForce()));
      await listeners.commit();
      over.resolve();
    };
    try {
      for (let i = this.#threads.size; i < this.#count && this.#settings === undefined; i++)
        this.#start(forThreads);
      await Promise.all(Array.from(this.#threads, (thread) => thread.ask('prepare', forThreads)));
    } catch (error) {
      await abort();
      throw error;
    }
    return { commit, abort };
  }

  recheck(): void {
    for (const thread of this.#threads) thread.tell('recheck', this.#users.members);
  }

  async sessions(): Promise<readonly Record[]> {
    const sessions = await this.#all(async (thread) => (await patiently(thread.ask('sessions'))) ?? []);
    return sessions.flat();
  }

  async standing(): Promise<readonly Standing[]> {
    const standing = await this.#all(async (thread) => {
      const fault = `thread ${thread.number} does not answer`;
      return (await patiently(thread.ask('standing'))) ?? [{ open: 0, cap: 0, fault }];
    });
    return standing.flat();
  }

  async stopListening(): Promise<void> {
    this.#closing = true;
    await this.#all(async (thread) => {
      const stopped = thread.ask('stopListening').then(() => true);
      if ((await patiently(stopped)) === undefined) this.#giveUp(thread);
    });
    await this.#listeners.close();
  }

  stopSessions(detail: string): void {
    for (const thread of this.#threads) thread.tell('stopSessions', detail);
  }

  async empty(): Promise<void> {
    await this.#all((thread) => thread.ask('empty'));
  }

  async close(): Promise<void> {
    clearInterval(this.#clock);
    const ends = Array.from(this.#threads, (thread) => thread.ended);
    await this.#all((thread) => thread.ask('close'));
    await patiently(Promise.all(ends));
    if (this.#threads.size === 0 && !this.#abandoned) process.off('exit', this.#leave);
  }

  /** It hangs, and must not be terminated: nobody waits for it any more. */
  #giveUp(thread: Thread): void {
    this.#common.log.error('a thread does not answer, and is left behind', { thread: thread.number });
    this.#abandoned = true;
    this.#threads.delete(thread);
    thread.end(new Error(`thread ${thread.number} does not answer`));
  }

  /** What each thread answers; those that die meanwhile have nothing to say. */
  async #all<T>(ask: (thread: Thread) => Promise<T>): Promise<T[]> {
    const answers = await Promise.allSettled(Array.from(this.#threads, ask));
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  }

  #inForce(): { readonly members: Members; readonly used: Used } {
    this.#day = this.#quotas.day;
    return { members: this.#users.members, used: [...this.#quotas] };
  }

  #start(settings: Settings): Thread {
    const thread = new Thread(
      { number: ++this.#last, threads: this.#count, memory: this.#common.memory, settings },
      {
        lines: (lines) => {
          for (const line of lines) this.#common.log.push(line);
        },
        verify: ({ username, password, address }) => this.#verify(username, password, address),
        used: (used) => this.#add(used),
      },
    );
    this.#threads.add(thread);
    const startedAt = performance.now();
    void thread.ended.then((error) => this.#ended(thread, error, performance.now() - startedAt));
    return thread;
  }

  #ended(thread: Thread, error: Error | undefined, age: number): void {
    this.#threads.delete(thread);
    closeAll(thread.owned);
    if (this.#closing || this.#settings === undefined) return;
    this.#common.log.error('a thread has ended with its connections, another takes its place', {
      thread: thread.number,
      error: error?.stack ?? 'no error',
    });
    this.#restart = age < YOUNG ? Math.min(this.#restart * 2, RESTART.last) : RESTART.first;
    setTimeout(() => {
      this.#turn = this.#turn.then(() => this.#replace());
    }, this.#restart);
  }

  async #replace(): Promise<void> {
    if (this.#closing) return;
    const settings = this.#settings!;
    const thread = this.#start(settings);
    try {
      await thread.ask('prepare', settings);
      await thread.ask('commit', this.#inForce());
    } catch (error) {
      const { message } = error as Error;
      this.#common.log.error('a thread could not start', { thread: thread.number, reason: message });
    }
  }

  async #verify(
    ...login: readonly [username: string, password: string, address: string]
  ): Promise<PasswordVerdict> {
    return (await this.#common.authenticator()?.verify(...login)) ?? NOBODY;
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

const NOBODY: PasswordVerdict = { ok: false, reason: 'wrong' };

/** What comes in good time; else `undefined`. */
async function patiently<T>(work: Promise<T>): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), PATIENCE);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** One thread, seen from the server's own. */
class Thread extends Channel<ServerCalls, ThreadCalls> {
  readonly number: number;
  /** Its descriptors: see `Loop`. */
  readonly owned: Int32Array;
  /** Resolves when it is gone, with the error that it died of. */
  readonly ended: Promise<Error | undefined>;

  constructor(start: Omit<ThreadStart, 'owned'>, calls: ServerCalls) {
    const owned = createOwnedMemory();
    const worker = new Worker(new URL(`thread${extname(import.meta.url)}`, import.meta.url), {
      workerData: { ...start, owned } satisfies ThreadStart,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_OBJECTS },
    });
    super(worker, calls);
    this.number = start.number;
    this.owned = new Int32Array(owned);
    let died: Error | undefined;
    worker.on('error', (error: Error) => {
      died = error;
    });
    this.ended = new Promise((resolve) => {
      worker.on('exit', () => {
        this.end(died ?? new Error(`thread ${start.number} has ended`));
        resolve(died);
      });
    });
  }
}

/** For threads, which find the listeners open, and ask about passwords. */
function settingsFor(settings: Settings, { open }: ListenersChange): Settings {
  const listeners = open.map(([{ fd, place }, listener]): ListenerSettings => {
    return { ...listener, address: { shared: fd!, place } };
  });
  const told = { ...settings, listeners };
  delete told.users;
  return told;
}
