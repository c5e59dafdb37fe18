import type { Connection, ConnectOptions, Engine, Signal } from '../net/engine.ts';
import type { Allowance } from '../limits/spare.ts';
import { formatIp, type Ip } from '../wire/ip.ts';

export interface RaceOptions {
  /** Milliseconds for the whole race. */
  readonly timeout: number;
  readonly signal?: Signal;
  /** The local address for a literal remote address. @default the kernel's choice */
  readonly localAddress?: (to: string) => string | undefined;
  /** Milliseconds until the next address is tried as well (RFC 8305 section 5). @default 250 */
  readonly attemptDelay?: number;
  /** Descriptors for attempts beyond the first. @default unlimited */
  readonly spare?: () => Allowance;
}

/** Concurrent attempts. */
const AT_ONCE = 5;
/**
 * The most milliseconds that an attempt can claim before it makes room for the next: by then a lost SYN has
 * been sent again (RFC 6298).
 */
const FAIR = 2000;

interface Attempt {
  readonly stop: AbortController;
  /** Whether it has had its fair time and can be dropped for a waiting address. */
  isOld: boolean;
  timer?: NodeJS.Timeout;
}

/**
 * Connects to the first of one or more addresses that answers (happy eyeballs, RFC 8305). The families take
 * turns, and each attempt starts as soon as the one before it has failed or the attempt delay has passed.
 * Attempts are limited to a few at a time, or fewer when descriptors are short; the oldest makes room for the
 * next after a fair time. The winner ends the others. Rejects with the most telling error of an attempt, with
 * ETIMEDOUT, or with the signal's reason.
 */
export function race(
  addresses: readonly Ip[],
  port: number,
  engine: Pick<Engine, 'connect'>,
  options: RaceOptions,
): Promise<Connection> {
  const { timeout, signal, localAddress, attemptDelay = 250 } = options;
  if (addresses.length === 1 && localAddress === undefined && signal?.aborted !== true)
    return engine.connect({ host: formatIp(addresses[0]!), port }, options);
  const connect = (host: string, limits: ConnectOptions): Promise<Connection> => {
    const from = localAddress?.(host);
    return engine.connect({ host, port }, from === undefined ? limits : { ...limits, from });
  };
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const spare = options.spare?.();
    const waiting = alternate(addresses).map(formatIp);
    const share = (timeout * AT_ONCE) / (waiting.length + AT_ONCE);
    const fair = Math.max(AT_ONCE * attemptDelay, Math.min(share, FAIR));
    const pending = new Set<Attempt>();
    const errors: unknown[] = [];
    let next: NodeJS.Timeout | undefined;
    /** Whether the next attempt waits for room. */
    let isBlocked = false;

    /** All attempts but one hold a spare descriptor. */
    const leave = (attempt: Attempt): void => {
      clearTimeout(attempt.timer);
      if (pending.delete(attempt) && pending.size > 0) spare?.give();
    };
    const end = (): void => {
      clearTimeout(next);
      clearTimeout(deadline);
      signal?.removeEventListener('abort', aborted);
      for (const loser of pending) drop(loser);
    };
    const drop = (loser: Attempt): void => {
      leave(loser);
      loser.stop.abort();
    };
    const lose = (error: unknown): void => {
      end();
      reject(error);
    };
    const aborted = (): void => lose(signal?.reason);
    const grow = (attempt: Attempt): void => {
      attempt.isOld = true;
      if (isBlocked) start();
    };
    const attempt = async (host: string): Promise<void> => {
      const self: Attempt = { stop: new AbortController(), isOld: false };
      const { signal: stopped } = self.stop;
      pending.add(self);
      if (waiting.length > 0) {
        next = setTimeout(start, attemptDelay);
        self.timer = setTimeout(() => grow(self), fair);
      }
      try {
        const connection = await connect(host, { timeout, signal: stopped });
        if (stopped.aborted) return connection.destroy();
        leave(self);
        end();
        resolve(connection);
      } catch (error) {
        if (stopped.aborted) return;
        leave(self);
        errors.push(error);
        start();
      }
    };
    const mayAdd = (): boolean =>
      pending.size === 0 || (pending.size < AT_ONCE && (spare === undefined || spare.take()));
    const start = (): void => {
      clearTimeout(next);
      isBlocked = false;
      if (waiting.length === 0) {
        if (pending.size === 0) lose(mostTelling(errors));
        return;
      }
      if (!mayAdd()) {
        const [oldest] = pending;
        isBlocked = !oldest!.isOld;
        if (isBlocked) return;
        // The next attempt inherits its slot at once, and its spare descriptor.
        clearTimeout(oldest!.timer);
        pending.delete(oldest!);
        errors.push(timedOut(fair));
        oldest!.stop.abort();
      }
      void attempt(waiting.shift()!);
    };

    const deadline = setTimeout(() => lose(mostTelling([timedOut(timeout), ...errors])), timeout);
    signal?.addEventListener('abort', aborted, { once: true });
    start();
  });
}

/** The families in turn, beginning with that of the first address; the order within a family is kept. */
export function alternate(addresses: readonly Ip[]): readonly Ip[] {
  const family = addresses[0]?.family;
  const first = addresses.filter((ip) => ip.family === family);
  const second = addresses.filter((ip) => ip.family !== family);
  return first.flatMap((ip, i) => [ip, ...second.slice(i, i + 1)]).concat(second.slice(first.length));
}

/**
 * The error to report of several: first that the host refused, then that it was silent, then a fault on this
 * machine. A missing route comes last: mostly, this machine lacks the family.
 */
export function mostTelling(errors: readonly unknown[]): unknown {
  return errors.toSorted((a, b) => rank(a) - rank(b))[0];
}

const TELLING: readonly unknown[] = ['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT'];
const NO_WAY: readonly unknown[] = ['EHOSTUNREACH', 'ENETUNREACH', 'EAFNOSUPPORT', 'EINVAL'];

function rank(error: unknown): number {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (TELLING.includes(code)) return TELLING.indexOf(code);
  return TELLING.length + 1 + NO_WAY.indexOf(code);
}

function timedOut(timeout: number): Error {
  return Object.assign(new Error(`no connection after ${timeout} ms`), { code: 'ETIMEDOUT' });
}
