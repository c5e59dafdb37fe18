import type { Connection, ConnectOptions, Engine, Signal } from '../net/engine.ts';
import type { Share } from '../limits/spare.ts';
import { formatIp, type Ip } from '../wire/ip.ts';

export interface RaceOptions {
  /** Milliseconds in all. */
  readonly timeout: number;
  readonly signal?: Signal;
  /** Where to connect from, by literal address. @default the kernel's choice */
  readonly localAddress?: (to: string) => string | undefined;
  /** Milliseconds until the next address gets its chance beside those before it (RFC 8305 section 5). @default 250 */
  readonly attemptDelay?: number;
  /** For attempts beside the first. @default as many as it takes */
  readonly spare?: () => Share;
}

/** Attempts at a time. */
const AT_ONCE = 5;
/** Milliseconds after which an attempt may be ended for the next one, at most: by then a lost SYN has been sent again (RFC 6298). */
const FAIR = 2000;

interface Attempt {
  readonly stop: AbortController;
  /** Whether it has had its time while others wait. */
  isOld: boolean;
  timer?: NodeJS.Timeout;
}

/**
 * Connects to the first of one or more addresses that answers (happy eyeballs, RFC 8305): one attempt after the other, the
 * families in turn, each as soon as the one before has failed or has taken the attempt delay. Of a few at a time, or fewer where
 * descriptors are, the oldest makes room for the next when it has had a fair time. All others are ended.
 * Rejects with the error of an attempt that says most, with ETIMEDOUT, or with the signal's reason.
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
    /** Whether the next one waits for room. */
    let isBlocked = false;

    /** Every attempt but one is a spare one. */
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
        // Another one has its place at once, and what it took with it.
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

/** The families in turn, beginning with that of the first address; within a family the order stays. */
export function alternate(addresses: readonly Ip[]): readonly Ip[] {
  const family = addresses[0]?.family;
  const first = addresses.filter((ip) => ip.family === family);
  const second = addresses.filter((ip) => ip.family !== family);
  return first.flatMap((ip, i) => [ip, ...second.slice(i, i + 1)]).concat(second.slice(first.length));
}

/**
 * What the client should hear of several failures: that the host answered, then that it was silent, then what is wrong
 * here. That there is no way there comes last: it is mostly the lack of a family on this machine.
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
