import type { Subscriber } from './journal.ts';
import type { Log } from './log.ts';

/** Writes records as log lines, except those that their rules silence. */
export function recordLines(log: Log): Subscriber {
  return {
    wants: (_, silenced) => !silenced && log.writes('info'),
    take: (record, event) => log.info(event, record),
  };
}
