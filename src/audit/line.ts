import type { Fields } from './format.ts';

export const Level = { error: 0, warn: 1, info: 2, debug: 3 } as const;
export type Level = keyof typeof Level;

/** The content of a log line. */
export interface LogEntry {
  /** ISO 8601 in UTC with milliseconds. */
  readonly time: string;
  readonly level: Level;
  /** What happened, in constant words. */
  readonly event: string;
  /** The particulars. */
  readonly fields: Fields;
}

/** A log line, complete except for the framing that its sink adds. */
export interface Line extends Omit<LogEntry, 'fields'> {
  /**
   * Time and level as text, for sinks that cannot transmit them in any other form; empty when the message
   * contains them.
   */
  readonly prefix: string;
  /** Ends with a newline, and contains no other. */
  readonly message: string;
  /** Only where the log has a reader. */
  readonly fields?: Fields;
}
