import type { Socket } from 'node:net';
import type { Journal } from '../audit/journal.ts';
import type { Log } from '../audit/log.ts';
import type { ConnectionRecord, EndDetail } from '../audit/record.ts';
import type { Authentication } from '../auth/identity.ts';
import type { Outbound } from '../route/outbound.ts';
import type { DecidingBasis } from './basis.ts';
import type { Change } from './change.ts';
import type { OpenListener } from './listen/listeners.ts';
import type { Usage } from './limits/quota-store.ts';
import type { Settings } from './settings.ts';
import type { SessionFilter } from './session/filter.ts';
import type { SharedMemory } from './thread-memory.ts';

/** Everything that a server has only once, however many threads serve. */
export interface Common {
  readonly log: Log;
  /** Receives the records of all sessions. */
  readonly journal: Journal;
  readonly memory: SharedMemory;
  readonly usage: Usage;
  /** The one in force. */
  authenticator(): Authentication | undefined;
}

/** The threads that serve connections: the server's own, or several others. */
export interface Workers {
  /** The open listeners. */
  readonly open: readonly OpenListener[];
  /**
   * Prepares to serve with these settings, and with the authenticator that is in force when they are
   * committed.
   */
  prepare(settings: Settings): Promise<Change>;
  /** The users have changed: refreshes identities, then checks every open session against the rules. */
  recheck(): Promise<void>;
  /** Serves a socket that was accepted elsewhere as if it had come to the listener at this place. */
  handIn(socket: Socket, place: string): void;
  /** The open sessions that match, a page at a time. `after`: the `next` of the page before. */
  sessions(after?: string, filter?: SessionFilter): Promise<SessionPage>;
  status(): Promise<readonly WorkerStatus[]>;
  /** The basis of their decisions. `outbound` takes the place of one that belongs to another thread. */
  basis(outbound: Outbound): DecidingBasis;
  /** Accepts no new connections. */
  stopListening(): Promise<void>;
  /** Ends the sessions that match; returns their number. `detail` appears in their records. */
  stopSessions(detail: EndDetail, filter?: SessionFilter): Promise<number>;
  /** Resolves when no connection is left. */
  empty(): Promise<void>;
  /** Releases everything, once no connection is left. */
  close(): Promise<void>;
}

/** Open sessions, as records without an end. */
export interface SessionPage {
  readonly records: readonly ConnectionRecord[];
  /** The start of the next page; absent on the last one. */
  readonly next?: string;
}

/** The status of a thread. */
export interface WorkerStatus {
  /** Open connections, and the most allowed while memory is short; normally Infinity. */
  readonly open: number;
  readonly cap: number;
  /** Its fault, if any. */
  readonly fault?: string;
}
