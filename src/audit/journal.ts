import { inspect } from 'node:util';
import type { Log } from './log.ts';
import type { ConnectionRecord, RecordEvent } from './record.ts';

/** Takes records: the log line is one, a library's hook another. */
export interface Subscriber {
  /** Asked first, as a record costs something to make. `silenced`: its rule wants no line of it in the log. @default all are wanted */
  wants?(event: RecordEvent, silenced: boolean): boolean;
  /** What takes long has to be done elsewhere: connections wait for this. */
  take(record: ConnectionRecord, event: RecordEvent, silenced: boolean): void;
}

/** What a record is made of. */
export interface Recorded<Ending> {
  record(end?: Ending): ConnectionRecord;
}

/** Hands the record of every connection to those who subscribe. One that nobody wants is never made. */
export class Journal {
  readonly #subscribers = new Set<Subscriber>();
  readonly #log: Log;

  /** `log` says when a subscriber throws, which harms neither connections nor other subscribers. */
  constructor(log: Log) {
    this.#log = log;
  }

  /** Somebody subscribes. */
  get isRead(): boolean {
    return this.#subscribers.size > 0;
  }

  /** Ends the subscription when it is called. */
  subscribe(subscriber: Subscriber): () => void {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  /** Without `end` while it is open. */
  write<Ending>(subject: Recorded<Ending>, event: RecordEvent, silenced: boolean, end?: Ending): void {
    let record: ConnectionRecord | undefined;
    for (const subscriber of this.#subscribers) {
      if (subscriber.wants?.(event, silenced) === false) continue;
      record ??= subject.record(end);
      try {
        subscriber.take(record, event, silenced);
      } catch (error) {
        this.#log.error('a subscriber of the records failed', { error: inspect(error) });
      }
    }
  }
}
