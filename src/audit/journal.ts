import { inspect } from 'node:util';
import type { Log } from './log.ts';
import type { ConnectionRecord, RecordEvent } from './record.ts';

/** Receives records: the log is one subscriber, a library's hook another. */
export interface Subscriber {
  /**
   * Called first, as making a record costs something. `silenced`: its rule excludes it from the log.
   * @default takes all
   */
  wants?(event: RecordEvent, silenced: boolean): boolean;
  /** Must not take long: connections wait for it. */
  take(record: ConnectionRecord, event: RecordEvent, silenced: boolean): void;
}

/** The subject of a record. */
export interface Recorded<Ending> {
  record(end?: Ending): ConnectionRecord;
}

/**
 * Passes the record of every connection to all subscribers. A record that no subscriber wants is never made.
 */
export class Journal {
  readonly #subscribers = new Set<Subscriber>();
  readonly #log: Log;

  /** `log` is warned when a subscriber throws, which affects neither connections nor other subscribers. */
  constructor(log: Log) {
    this.#log = log;
  }

  /** True when there are subscribers. */
  get isRead(): boolean {
    return this.#subscribers.size > 0;
  }

  /** Returns a function that ends the subscription. */
  subscribe(subscriber: Subscriber): () => void {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  /** Without `end` while the connection is open. */
  write<Ending>(subject: Recorded<Ending>, event: RecordEvent, silenced: boolean, end?: Ending): void {
    let record: ConnectionRecord | undefined;
    for (const subscriber of this.#subscribers) {
      if (subscriber.wants?.(event, silenced) === false) continue;
      record ??= subject.record(end);
      try {
        subscriber.take(record, event, silenced);
      } catch (error) {
        this.#log.errorSeldom('subscriber-failed', { error: inspect(error) });
      }
    }
  }
}
