import type { Reply } from './message.ts';
import { codeOf } from '../wire/error-code.ts';

/** The outcome of a query to one server. */
export type QueryOutcome =
  | Reply
  | { readonly type: 'silent' }
  | { readonly type: 'unreachable'; readonly cause: unknown };

/** Starts an exchange and waits until it settles, fails, times out or is aborted. */
export function outcomeOf(
  patience: number,
  signal: AbortSignal,
  start: (settle: (outcome: QueryOutcome) => void, fail: (cause: unknown) => void) => void,
): Promise<QueryOutcome> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const settle = (outcome: QueryOutcome): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      resolve(outcome);
    };
    const fail = (cause: unknown): void => settle({ type: 'unreachable', cause });
    const timer = setTimeout(() => settle({ type: 'silent' }), Math.max(patience, 0));
    signal.addEventListener('abort', abort, { once: true });
    try {
      start(settle, fail);
    } catch (cause) {
      fail(cause);
    }
  });
}

/** The outcome when a connection to a server failed. */
export function unconnected(cause: unknown, signal: AbortSignal): QueryOutcome {
  signal.throwIfAborted();
  const isSilent = codeOf(cause) === 'ETIMEDOUT';
  return isSilent ? { type: 'silent' } : { type: 'unreachable', cause };
}
