import type { Socket } from 'node:net';
import type { Journal } from '../audit/journal.ts';
import type { Log } from '../audit/log.ts';
import type { ConnectionRecord, EndDetail } from '../audit/record.ts';
import type { Authentication } from '../auth/identity.ts';
import type { Change } from './change.ts';
import type { OpenListener } from './listen/listeners.ts';
import type { Usage } from './limits/quota-store.ts';
import type { Settings } from './settings.ts';
import type { SessionFilter } from './session/filter.ts';
import type { SharedMemory } from './shared-memory.ts';

/** What a server has once, however many threads serve. */
export interface Common {
  readonly log: Log;
  /** Takes the records of all sessions. */
  readonly journal: Journal;
  readonly memory: SharedMemory;
  readonly usage: Usage;
  /** The one in force. */
  authenticator(): Authentication | undefined;
}

/** Those who serve connections: one thread, which is the server's own, or several. */
export interface Workers {
  /** The listeners that are open. */
  readonly open: readonly OpenListener[];
  /** Gets ready to serve by these settings, and by the authenticator that is in force when they are committed. */
  prepare(settings: Settings): Promise<Change>;
  /** The users are others: asks who they are now, then the rules about every open session again. */
  recheck(): Promise<void>;
  /** Serves a socket that somebody else accepted as if it had come to the listener at this place. */
  handIn(socket: Socket, place: string): void;
  /** The open sessions, a page at a time. `after`: the `next` of the page before. */
  sessions(after?: string): Promise<SessionPage>;
  status(): Promise<readonly WorkerStatus[]>;
  /** Takes no new connections. */
  stopListening(): Promise<void>;
  /** Ends the sessions that match; how many. `detail` goes into their records. */
  stopSessions(detail: EndDetail, filter?: SessionFilter): Promise<number>;
  /** Resolves when no connection is left. */
  empty(): Promise<void>;
  /** Lets go of everything, once there is no connection left. */
  close(): Promise<void>;
}

/** Open sessions, as records without an end. */
export interface SessionPage {
  readonly records: readonly ConnectionRecord[];
  /** Where the next page begins; absent on the last one. */
  readonly next?: string;
}

/** How a thread does. */
export interface WorkerStatus {
  /** Connections, and how many there may be for want of memory; Infinity as a rule. */
  readonly open: number;
  readonly cap: number;
  /** What is wrong with it. */
  readonly fault?: string;
}
