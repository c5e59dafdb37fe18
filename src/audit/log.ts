import { LruMap } from '../limits/lru-map.ts';
import { headingOf, messageOf } from './events.ts';
import type { EventName, EventOf } from './events.ts';
import { formatFields, formatJson, formatPrefix, formatText, Timestamps } from './format.ts';
import { Level } from './level.ts';
import type { Fields, Line, LogEntry } from './line.ts';
import { LineQueue } from './queue.ts';
import { formatLogPlace, openSink } from './sinks/open.ts';
import type { LogPlace } from './sinks/open.ts';

export { Level } from './level.ts';

export interface LogSettings {
  /** @default 'info' */
  readonly level: Level;
  /** @default 'text' */
  readonly format: 'text' | 'json';
  readonly to: LogPlace;
}

/** Milliseconds between two identical warnings, and how many different ones are remembered. */
const SELDOM = 60_000;
const KNOWN = 256;
/** Milliseconds between two reports on standard error about a destination that keeps failing. */
const COMPLAINTS = 10_000;

export interface LogOptions {
  /** Passes lines to another log, which writes them. */
  readonly pass?: ((line: Line) => void) | undefined;
  /**
   * Receives every line, wherever it is written; must not throw. Where lines are passed on, `true` means that
   * the other log has a reader.
   */
  readonly reader?: ((entry: LogEntry) => void) | true | undefined;
  /** Receives the reasons why the log cannot be written, one line each, at limited intervals. */
  readonly complain?: ((text: string) => void) | undefined;
}

/**
 * Lines of text or JSON to standard error, a file or syslog. A line costs its caller only its formatting: lines are
 * gathered and written off the event loop, and a log that cannot be written never holds up a connection.
 */
export class Log {
  #settings: LogSettings;
  readonly #queue: LineQueue | undefined;
  readonly #pass: ((line: Line) => void) | undefined;
  readonly #reader: LogOptions['reader'];
  readonly #complainTo: LogOptions['complain'];
  readonly #timestamps = new Timestamps();
  #complained = -Infinity;
  /** For each warning, the time until which it is not repeated. */
  readonly #silent = new LruMap<number>(KNOWN);

  /** Throws Node's error if the file cannot be opened. */
  constructor(settings: LogSettings, { pass, reader, complain }: LogOptions = {}) {
    this.#settings = settings;
    this.#pass = pass;
    this.#reader = reader;
    this.#complainTo = complain;
    if (pass !== undefined) return;
    this.#queue = new LineQueue(openSink(settings.to), {
      begins: (code) => this.#complain(code),
      // Written at any level.
      ends: (code, lost) => this.#put('warn', 'log-recovered', { code, lost }),
    });
  }

  /** Why nothing can be written at the moment, in one word: usually the system's error code. */
  get fault(): string | undefined {
    return this.#queue?.fault;
  }

  /** Lines lost since the start. */
  get lost(): number {
    return this.#queue?.lost ?? 0;
  }

  /**
   * Changes level, format and destination, and reopens a file (after a rotation). On an error nothing
   * changes.
   */
  reopen(settings: LogSettings): void {
    const isFile = typeof settings.to === 'object' && 'file' in settings.to;
    if (isFile || formatLogPlace(settings.to) !== formatLogPlace(this.#settings.to))
      this.#queue?.use(openSink(settings.to));
    this.#settings = settings;
  }

  get hasReader(): boolean {
    return this.#reader !== undefined;
  }

  /** Whether a line of this level is written or has a reader. */
  writes(level: Level): boolean {
    return Level[level] <= Level[this.#settings.level] && (this.#isWritten || this.hasReader);
  }

  error(event: EventOf<'error'>, fields?: Fields): void {
    if (this.writes('error')) this.#put('error', event, fields);
  }

  warn(event: EventOf<'warn'>, fields?: Fields): void {
    if (this.writes('warn')) this.#put('warn', event, fields);
  }

  /** At most once a minute in the same words, for faults that affect every connection. */
  errorSeldom(event: EventOf<'error'>, fields: Fields): void {
    if (this.#isDue(event, fields)) this.error(event, fields);
  }

  /** At most once a minute in the same words, for conditions that affect many connections. */
  warnSeldom(event: EventOf<'warn'>, fields: Fields): void {
    if (this.#isDue(event, fields)) this.warn(event, fields);
  }

  info(event: EventOf<'info'>, fields?: Fields): void {
    if (this.writes('info')) this.#put('info', event, fields);
  }

  debug(event: EventOf<'debug'>, fields?: Fields): void {
    if (this.writes('debug')) this.#put('debug', event, fields);
  }

  /** Writes the waiting lines and closes the sink; takes two seconds at most. */
  async close(): Promise<void> {
    await this.#queue?.close();
  }

  /** Takes a line made by another log. */
  push(line: Line): void {
    if (this.#pass !== undefined) return this.#pass(line);
    if (typeof this.#reader === 'function' && line.fields !== undefined) {
      const { time, level, event, fields } = line;
      this.#reader({ time, level, event, message: messageOf(event), fields });
    }
    if (this.#isWritten) this.#queue?.push(line);
  }

  #isDue(event: EventName, fields: Fields): boolean {
    const now = performance.now();
    const what = JSON.stringify([event, fields]);
    if (now < (this.#silent.get(what) ?? 0)) return false;
    this.#silent.set(what, now + SELDOM);
    return true;
  }

  get #isWritten(): boolean {
    return this.#settings.to !== 'nowhere';
  }

  #put(level: Level, event: EventName, fields: Fields = {}): void {
    const time = this.#timestamps.format(Date.now());
    this.push({
      time,
      level,
      event,
      ...this.#formatted(time, level, event, fields),
      ...(this.hasReader && { fields }),
    });
  }

  #formatted(time: string, level: Level, event: EventName, fields: Fields): Pick<Line, 'prefix' | 'text'> {
    if (!this.#isWritten) return { prefix: '', text: '' };
    return this.#settings.format === 'text'
      ? { prefix: formatPrefix(time, level), text: formatFields(headingOf(event), fields) }
      : { prefix: '', text: formatJson({ time, level, event, message: messageOf(event), fields }) };
  }

  #complain(code: string): void {
    const { to } = this.#settings;
    const now = performance.now();
    if (to === 'stderr' || now - this.#complained < COMPLAINTS) return;
    this.#complained = now;
    const entry: LogEntry = {
      time: this.#timestamps.format(Date.now()),
      level: 'error',
      event: 'log-failed',
      message: messageOf('log-failed'),
      fields: { to: formatLogPlace(to), code },
    };
    if (typeof this.#reader === 'function') this.#reader(entry);
    this.#complainTo?.(formatText(entry.time, entry.level, headingOf(entry.event), entry.fields));
  }
}
