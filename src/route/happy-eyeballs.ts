import type { Connection, ConnectOptions, Engine, Signal } from '../net/engine.ts';
import type { Allowance } from '../limits/spare.ts';
import { formatIp, type Ip } from '../wire/ip.ts';

export interface RaceOptions {
  /** Milliseconds for the whole race. */
  readonly timeout: number;
  readonly signal?: Signal;
  /** The local address for a literal remote address. @default the kernel's choice */
  readonly localAddress?: ((to: string) => string | undefined) | undefined;
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
  const { signal, localAddress } = options;
  if (addresses.length === 1 && localAddress === undefined && signal?.aborted !== true)
    return engine.connect({ host: formatIp(addresses[0]!), port }, options);
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    new Race(addresses, port, engine, options, { resolve, reject }).start();
  });
}

interface Attempt {
  readonly stop: AbortController;
  /** Whether it has had its fair time and can be dropped for a waiting address. */
  isOld: boolean;
  timer?: NodeJS.Timeout;
}

interface Outcome {
  resolve(connection: Connection): void;
  reject(error: unknown): void;
}

class Race {
  readonly #port: number;
  readonly #engine: Pick<Engine, 'connect'>;
  readonly #options: RaceOptions;
  readonly #outcome: Outcome;
  readonly #attemptDelay: number;
  readonly #fairTime: number;
  readonly #spare: Allowance | undefined;
  /** The addresses that are not tried yet. */
  readonly #waiting: string[];
  /** The oldest first. All but one hold a spare descriptor. */
  readonly #pending = new Set<Attempt>();
  readonly #errors: unknown[] = [];
  readonly #deadline: NodeJS.Timeout;
  #next: NodeJS.Timeout | undefined;
  /** Whether the next attempt waits for room. */
  #isBlocked = false;

  constructor(
    addresses: readonly Ip[],
    port: number,
    engine: Pick<Engine, 'connect'>,
    options: RaceOptions,
    outcome: Outcome,
  ) {
    const { timeout, attemptDelay = 250, signal } = options;
    this.#port = port;
    this.#engine = engine;
    this.#options = options;
    this.#outcome = outcome;
    this.#attemptDelay = attemptDelay;
    this.#spare = options.spare?.();
    this.#waiting = alternate(addresses).map(formatIp);
    const share = (timeout * AT_ONCE) / (addresses.length + AT_ONCE);
    this.#fairTime = Math.max(AT_ONCE * attemptDelay, Math.min(share, FAIR));
    this.#deadline = setTimeout(() => this.#lose(mostTelling([timedOut(timeout), ...this.#errors])), timeout);
    signal?.addEventListener('abort', this.#aborted, { once: true });
  }

  /** Starts the next attempt if there is room for it; loses when there is none and all have failed. */
  readonly start = (): void => {
    clearTimeout(this.#next);
    this.#isBlocked = false;
    const next = this.#waiting[0];
    if (next === undefined) {
      if (this.#pending.size === 0) this.#lose(mostTelling(this.#errors));
      return;
    }
    if (!this.#mayAdd() && !this.#replaceOldest()) {
      this.#isBlocked = true;
      return;
    }
    this.#waiting.shift();
    void this.#attempt(next);
  };

  #mayAdd(): boolean {
    const { size } = this.#pending;
    return size === 0 || (size < AT_ONCE && (this.#spare === undefined || this.#spare.take()));
  }

  /** Drops the oldest attempt once it has had its fair time: the next inherits its spare descriptor. */
  #replaceOldest(): boolean {
    const [oldest] = this.#pending;
    if (!oldest!.isOld) return false;
    clearTimeout(oldest!.timer);
    this.#pending.delete(oldest!);
    this.#errors.push(timedOut(this.#fairTime));
    oldest!.stop.abort();
    return true;
  }

  async #attempt(host: string): Promise<void> {
    const attempt: Attempt = { stop: new AbortController(), isOld: false };
    const { signal } = attempt.stop;
    this.#pending.add(attempt);
    if (this.#waiting.length > 0) {
      this.#next = setTimeout(this.start, this.#attemptDelay);
      attempt.timer = setTimeout(() => this.#grow(attempt), this.#fairTime);
    }
    try {
      const connection = await this.#connect(host, signal);
      if (signal.aborted) return connection.destroy();
      this.#leave(attempt);
      this.#end();
      this.#outcome.resolve(connection);
    } catch (error) {
      if (signal.aborted) return;
      this.#leave(attempt);
      this.#errors.push(error);
      this.start();
    }
  }

  #connect(host: string, signal: Signal): Promise<Connection> {
    const { timeout, localAddress } = this.#options;
    const from = localAddress?.(host);
    const limits: ConnectOptions = from === undefined ? { timeout, signal } : { timeout, signal, from };
    return this.#engine.connect({ host, port: this.#port }, limits);
  }

  #grow(attempt: Attempt): void {
    attempt.isOld = true;
    if (this.#isBlocked) this.start();
  }

  #leave(attempt: Attempt): void {
    clearTimeout(attempt.timer);
    if (this.#pending.delete(attempt) && this.#pending.size > 0) this.#spare?.give();
  }

  readonly #aborted = (): void => this.#lose(this.#options.signal?.reason);

  #lose(error: unknown): void {
    this.#end();
    this.#outcome.reject(error);
  }

  #end(): void {
    clearTimeout(this.#next);
    clearTimeout(this.#deadline);
    this.#options.signal?.removeEventListener('abort', this.#aborted);
    for (const loser of this.#pending) {
      this.#leave(loser);
      loser.stop.abort();
    }
  }
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
