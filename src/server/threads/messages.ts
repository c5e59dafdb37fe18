import type { Line } from '../../audit/line.ts';
import type { ConnectionRecord, EndDetail, RecordEvent } from '../../audit/record.ts';
import type { Member, PasswordVerdict } from '../../auth/authenticator.ts';
import type { WorkerStatus } from '../workers.ts';
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

export type Members = readonly Member[] | undefined;

/** Bytes that users have used today. */
export type Used = readonly (readonly [rule: string, user: string, bytes: number])[];

/** What a journal has taken. */
export interface Entry {
  readonly record: ConnectionRecord;
  readonly event: RecordEvent;
  readonly silenced: boolean;
}

/** What a thread can be told and asked. */
export type ThreadCalls = {
  readonly prepare: (settings: Settings) => Promise<void>;
  /** `journal`: the server's own wants records, too. */
  readonly commit: (common: {
    readonly members: Members;
    readonly used: Used;
    readonly journal: boolean;
  }) => Promise<void>;
  readonly abort: () => Promise<void>;
  readonly recheck: (members: Members) => void;
  /** In all. */
  readonly used: (used: Used) => void;
  readonly newDay: () => void;
  readonly sessions: () => Promise<readonly ConnectionRecord[]>;
  readonly status: () => Promise<readonly WorkerStatus[]>;
  readonly stopListening: () => Promise<void>;
  readonly stopSessions: (detail: EndDetail) => void;
  readonly empty: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/** What a thread tells and asks the server. */
export type ServerCalls = {
  readonly lines: (lines: readonly Line[]) => void;
  readonly entries: (entries: readonly Entry[]) => void;
  readonly verify: (login: {
    readonly username: string;
    readonly password: string;
    readonly address: string;
  }) => Promise<PasswordVerdict>;
  /** More. */
  readonly used: (used: Used) => void;
};
