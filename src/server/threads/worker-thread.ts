/**
 * The main module of a thread: serves connections, and uses the channel to the server's own thread for
 * everything that a server has only once.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Line } from '../../audit/line.ts';
import { Journal } from '../../audit/journal.ts';
import type { Subscriber } from '../../audit/journal.ts';
import { Log } from '../../audit/log.ts';
import type { Authentication, Identity } from '../../auth/identity.ts';
import { FastEngine } from '../../net/fast.ts';
import { ThreadChannel } from './channel.ts';
import type { Change } from '../change.ts';
import { Worker } from '../worker.ts';
import type { Usage } from '../limits/quota-store.ts';
import type { Settings } from '../settings.ts';
import type { Entry, ServerCalls, ThreadCalls, ThreadStart, Used } from './messages.ts';

/** Milliseconds for which log lines and records are batched. */
const GATHER = 10;
/** User names in one message. */
const NAMES = 256;

/** Batches messages to the server's own thread. */
class Batches<T> {
  readonly #send: (batch: readonly T[]) => void;
  #waiting: T[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (batch: readonly T[]) => void) {
    this.#send = send;
  }

  readonly push = (one: T): void => {
    this.#waiting.push(one);
    this.#timer ??= setTimeout(() => this.send(), GATHER);
  };

  send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.length === 0) return;
    this.#send(this.#waiting);
    this.#waiting = [];
  }
}

/** The server's own thread checks passwords, since only it has the users and counts all guesses. */
const farUsers: Authentication = {
  verify: (name, password, client) => server.ask('verify', { name, password, client }),
  async identities(names) {
    const identities: (Identity | undefined)[] = [];
    for (let i = 0; i < names.length; i += NAMES)
      identities.push(...(await server.ask('identities', names.slice(i, i + NAMES))));
    return identities;
  },
};

/** Reports local use at once, and receives the totals of all threads. */
class FarUsage implements Usage {
  readonly #used = new Map<string, Map<string, number>>();

  used(rule: string, user: string): number {
    return this.#used.get(rule)?.get(user) ?? 0;
  }

  add(rule: string, user: string, bytes: number): void {
    this.set([[rule, user, this.used(rule, user) + bytes]]);
    server.tell('used', [[rule, user, bytes]]);
  }

  set(used: Used): void {
    for (const [rule, user, bytes] of used) {
      const users = this.#used.get(rule) ?? new Map<string, number>();
      this.#used.set(rule, users.set(user, bytes));
    }
  }

  clear(): void {
    this.#used.clear();
  }
}

const { number, threads, memory, owned, hasLogReader, settings: first } = workerData as ThreadStart;
const lines = new Batches<Line>((batch) => server.tell('lines', batch));
const entries = new Batches<Entry>((batch) => server.tell('entries', batch));
const log = new Log(first.log, { pass: lines.push, reader: hasLogReader || undefined });
const journal = new Journal(log);
const farJournal: Subscriber = {
  take: (record, event, silenced) => entries.push({ record, event, silenced }),
};
let unsubscribe: (() => void) | undefined;
const usage = new FarUsage();
let hasUsers = false;
const engine = new FastEngine(new Int32Array(owned), threads);
const common = { log, journal, memory, usage, authenticator: () => (hasUsers ? farUsers : undefined) };
const worker = new Worker(engine, common, first, { thread: number, threads });

/** Prepared, but not in force yet. */
let next: { readonly change: Change; readonly settings: Settings } | undefined;

const server: ThreadChannel<ThreadCalls, ServerCalls> = new ThreadChannel(parentPort!, {
  async prepare(settings) {
    next = undefined;
    next = { change: await worker.prepare(settings), settings };
  },
  async commit({ users, journal: isRead, used }) {
    const { settings, change } = next!;
    next = undefined;
    hasUsers = users;
    unsubscribe?.();
    unsubscribe = isRead ? journal.subscribe(farJournal) : undefined;
    usage.clear();
    usage.set(used);
    log.reopen(settings.log);
    await change.commit();
  },
  async abort() {
    await next?.change.abort();
    next = undefined;
  },
  recheck: () => worker.recheck(),
  used: (used) => usage.set(used),
  newDay: () => usage.clear(),
  sessions: ({ after, filter }) => worker.sessions(after, filter),
  status: () => worker.status(),
  stopListening: () => worker.stopListening(),
  stopSessions: ({ detail, filter }) => worker.stopSessions(detail, filter),
  empty: () => worker.empty(),
  async close() {
    await worker.close();
    lines.send();
    entries.send();
    // Lets this thread end once the answer has been sent.
    parentPort!.unref();
  },
});

// However the thread ends: Node would abort the whole process for a descriptor that is still watched.
process.once('exit', () => {
  engine.stop();
  worker.abandon();
  lines.send();
  entries.send();
});
