import type { Line } from '../../audit/line.ts';
import type { ConnectionRecord, EndDetail, RecordEvent } from '../../audit/record.ts';
import type { Identity, PasswordVerdict } from '../../auth/identity.ts';
import type { SessionFilter } from '../session/filter.ts';
import type { SessionPage, WorkerStatus } from '../workers.ts';
import type { Settings } from '../settings.ts';
import type { SharedMemory } from '../thread-memory.ts';

/** The initial data of a thread. */
export interface ThreadStart {
  readonly number: number;
  /** The number of threads. */
  readonly threads: number;
  readonly memory: SharedMemory;
  /** Where it records its descriptors: see `Loop`. */
  readonly owned: SharedArrayBuffer;
  readonly settings: Settings;
  /** Some subscriber receives every log line. */
  readonly hasLogReader: boolean;
}

/** Bytes that users have used today. */
export type Used = readonly (readonly [rule: string, user: string, bytes: number])[];

/** One record, as written to a journal. */
export interface Entry {
  readonly record: ConnectionRecord;
  readonly event: RecordEvent;
  readonly silenced: boolean;
}

/** A thread's view of what the server has only once. */
export interface ThreadCommon {
  /** There are users; the thread asks the server about them. */
  readonly users: boolean;
  /** The server's own journal has subscribers too. */
  readonly journal: boolean;
  readonly used: Used;
}

/** Messages and questions for a thread. */
export type ThreadCalls = {
  readonly prepare: (settings: Settings) => Promise<void>;
  readonly commit: (common: ThreadCommon) => Promise<void>;
  readonly abort: () => Promise<void>;
  readonly recheck: () => Promise<void>;
  /** The totals of all threads. */
  readonly used: (used: Used) => void;
  readonly newDay: () => void;
  readonly sessions: (which: {
    readonly after: string | undefined;
    readonly filter: SessionFilter | undefined;
  }) => Promise<SessionPage>;
  readonly status: () => Promise<readonly WorkerStatus[]>;
  readonly stopListening: () => Promise<void>;
  readonly stopSessions: (which: {
    readonly detail: EndDetail;
    readonly filter: SessionFilter | undefined;
  }) => Promise<number>;
  readonly empty: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/** Messages and questions for the server. */
export type ServerCalls = {
  readonly lines: (lines: readonly Line[]) => void;
  readonly entries: (entries: readonly Entry[]) => void;
  readonly verify: (login: {
    readonly name: string;
    readonly password: string;
    readonly client: string;
  }) => Promise<PasswordVerdict>;
  /** The current identities of these users, a few at a time. */
  readonly identities: (names: readonly string[]) => Promise<readonly (Identity | undefined)[]>;
  /** Additional bytes. */
  readonly used: (used: Used) => void;
};
