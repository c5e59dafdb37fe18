import type { Fields } from './format.ts';

export const Level = { error: 0, warn: 1, info: 2, debug: 3 } as const;
export type Level = keyof typeof Level;

/** What one line of the log says. */
export interface LogEntry {
  /** ISO 8601 in UTC with milliseconds. */
  readonly time: string;
  readonly level: Level;
  /** What happened; the same words each time. */
  readonly event: string;
  /** The particulars. */
  readonly fields: Fields;
}

/** One line of the log, ready but for what its sink puts around it. */
export interface Line extends Omit<LogEntry, 'fields'> {
  /** Time and level as text, for sinks that have no way of their own to tell them; empty when the message has them. */
  readonly prefix: string;
  /** Ends with a newline, the only one in it. */
  readonly message: string;
  /** Where the log has a reader. */
  readonly fields?: Fields;
}
