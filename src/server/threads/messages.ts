import type { Line } from '../../audit/line.ts';
import type { ConnectionRecord, EndDetail, RecordEvent } from '../../audit/record.ts';
import type { Identity, PasswordVerdict } from '../../auth/identity.ts';
import type { SessionFilter } from '../session/filter.ts';
import type { SessionPage, WorkerStatus } from '../workers.ts';
import type { Settings } from '../settings.ts';
import type { SharedMemory } from '../shared-memory.ts';

/** What a thread is started with. */
export interface ThreadStart {
  readonly number: number;
  /** How many there are. */
  readonly threads: number;
  readonly memory: SharedMemory;
  /** Where it notes its descriptors: see `Loop`. */
  readonly owned: SharedArrayBuffer;
  readonly settings: Settings;
  /** Somebody hears of every line of the log. */
  readonly hasLogReader: boolean;
}

/** Bytes that users have used today. */
export type Used = readonly (readonly [rule: string, user: string, bytes: number])[];

/** What a journal has taken. */
export interface Entry {
  readonly record: ConnectionRecord;
  readonly event: RecordEvent;
  readonly silenced: boolean;
}

/** What a thread has to know of what the server has once. */
export interface ThreadCommon {
  /** There are users, about whom it asks. */
  readonly users: boolean;
  /** The server's own journal wants records, too. */
  readonly journal: boolean;
  readonly used: Used;
}

/** What a thread can be told and asked. */
export type ThreadCalls = {
  readonly prepare: (settings: Settings) => Promise<void>;
  readonly commit: (common: ThreadCommon) => Promise<void>;
  readonly abort: () => Promise<void>;
  readonly recheck: () => Promise<void>;
  /** In all. */
  readonly used: (used: Used) => void;
  readonly newDay: () => void;
  readonly sessions: (after: string | undefined) => Promise<SessionPage>;
  readonly status: () => Promise<readonly WorkerStatus[]>;
  readonly stopListening: () => Promise<void>;
  readonly stopSessions: (which: {
    readonly detail: EndDetail;
    readonly filter: SessionFilter | undefined;
  }) => Promise<number>;
  readonly empty: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/** What a thread tells and asks the server. */
export type ServerCalls = {
  readonly lines: (lines: readonly Line[]) => void;
  readonly entries: (entries: readonly Entry[]) => void;
  readonly verify: (login: {
    readonly name: string;
    readonly password: string;
    readonly client: string;
  }) => Promise<PasswordVerdict>;
  /** Who these users are now: a few at a time. */
  readonly identities: (names: readonly string[]) => Promise<readonly (Identity | undefined)[]>;
  /** More. */
  readonly used: (used: Used) => void;
};
