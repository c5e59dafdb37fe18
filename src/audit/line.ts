import type { EventName } from './events.ts';
import type { Level } from './level.ts';

/** The named values of a log line; those that are `undefined` are left out. */
export type Fields = { readonly [name: string]: string | number | undefined };

/** The content of a log line. */
export interface LogEntry {
  /** ISO 8601 in UTC with milliseconds. */
  readonly time: string;
  readonly level: Level;
  /** What happened; docs/records.md lists the events. */
  readonly event: EventName;
  /** The same in a sentence; absent where the line is a record. */
  readonly message?: string | undefined;
  /** The particulars. */
  readonly fields: Fields;
}

/** A log line, complete except for the framing that its sink adds. */
export interface Line extends Omit<LogEntry, 'fields' | 'message'> {
  /** Time and level as text, for sinks that cannot transmit them in any other form; empty when `text` contains them. */
  readonly prefix: string;
  /** Ends with a newline, and contains no other. */
  readonly text: string;
  /** Only where the log has a reader. */
  readonly fields?: Fields;
}
