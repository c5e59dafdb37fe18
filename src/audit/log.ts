import { LruMap } from '../limits/lru-map.ts';
import { headingOf, messageOf } from './events.ts';
import type { EventName, EventOf } from './events.ts';
import { formatFields, formatJson, formatPrefix, formatText, Timestamps } from './format.ts';
import { Level } from './level.ts';
import type { Fields, Line, LogEntry } from './line.ts';
import { Outlets } from './outlets.ts';
import type { Wanted } from './outlets.ts';
import { formatLogPlace } from './sinks/open.ts';
import type { LogPlace } from './sinks/open.ts';

export { Level } from './level.ts';

export interface LogSettings {
  /** @default 'info' */
  readonly level: Level;
  /** @default 'text' */
  readonly format: 'text' | 'json';
  /** Where lines go; each place has its own queue. */
  readonly to: readonly LogPlace[];
  /** Where warnings and errors go as well. @default nowhere */
  readonly errors?: readonly LogPlace[];
}

/** Milliseconds between two identical warnings, and how many different ones are remembered. */
const SELDOM = 60_000;
const KNOWN = 256;
/** Milliseconds between two reports about a place that keeps failing. */
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
 * Lines of text or JSON to standard streams, files and syslog. A line costs its caller only its formatting: lines are
 * gathered and written off the event loop, and a log that cannot be written never holds up a connection.
 */
export class Log {
  #settings: LogSettings;
  readonly #outlets: Outlets | undefined;
  readonly #pass: ((line: Line) => void) | undefined;
  readonly #reader: LogOptions['reader'];
  readonly #complainTo: LogOptions['complain'];
  readonly #timestamps = new Timestamps();
  /** For each place, when it was last reported. */
  readonly #complained = new Map<string, number>();
  /** For each warning, the time until which it is not repeated. */
  readonly #silent = new LruMap<number>(KNOWN);

  /** Throws Node's error if the file cannot be opened. */
  constructor(settings: LogSettings, { pass, reader, complain }: LogOptions = {}) {
    this.#settings = settings;
    this.#pass = pass;
    this.#reader = reader;
    this.#complainTo = complain;
    if (pass !== undefined) return;
    this.#outlets = new Outlets({
      begins: (place, code) => this.#complain(place, code),
      // Written at any level.
      ends: (place, code, lost) => {
        const to = this.#outlets!.places.length > 1 ? formatLogPlace(place) : undefined;
        this.#put('warn', 'log-recovered', { to, code, lost });
      },
    });
    this.#outlets.use(placesOf(settings));
  }

  /** Why lines cannot be written at the moment: usually the system's error code, in one word. */
  get fault(): string | undefined {
    return this.#outlets?.fault;
  }

  /** Lines lost since the start. */
  get lost(): number {
    return this.#outlets?.lost ?? 0;
  }

  /**
   * Changes level, format and places, and reopens files (after a rotation). On an error nothing changes.
   */
  reopen(settings: LogSettings): void {
    this.#outlets?.use(placesOf(settings));
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

  /** Writes the waiting lines and closes the sinks; takes two seconds at most. */
  async close(): Promise<void> {
    await this.#outlets?.close();
  }

  /** Takes a line made by another log. */
  push(line: Line): void {
    if (this.#pass !== undefined) return this.#pass(line);
    this.#read(line);
    this.#outlets?.push(line);
  }

  #read({ time, level, event, fields }: Line): void {
    if (typeof this.#reader === 'function' && fields !== undefined)
      this.#reader({ time, level, event, message: messageOf(event), fields });
  }

  #isDue(event: EventName, fields: Fields): boolean {
    const now = performance.now();
    const what = JSON.stringify([event, fields]);
    if (now < (this.#silent.get(what) ?? 0)) return false;
    this.#silent.set(what, now + SELDOM);
    return true;
  }

  get #isWritten(): boolean {
    const { to, errors = [] } = this.#settings;
    return to.length > 0 || errors.length > 0;
  }

  #put(level: Level, event: EventName, fields: Fields = {}): void {
    this.push(this.#line(level, event, fields));
  }

  #line(level: Level, event: EventName, fields: Fields): Line {
    const time = this.#timestamps.format(Date.now());
    return {
      time,
      level,
      event,
      ...this.#formatted(time, level, event, fields),
      ...(this.hasReader && { fields }),
    };
  }

  #formatted(time: string, level: Level, event: EventName, fields: Fields): Pick<Line, 'prefix' | 'text'> {
    if (!this.#isWritten) return { prefix: '', text: '' };
    return this.#settings.format === 'text'
      ? { prefix: formatPrefix(time, level), text: formatFields(headingOf(event), fields) }
      : { prefix: '', text: formatJson({ time, level, event, message: messageOf(event), fields }) };
  }

  /** Reports a place that fails in the other places, or on standard error. */
  #complain(place: LogPlace, code: string): void {
    const to = formatLogPlace(place);
    const now = performance.now();
    if (now - (this.#complained.get(to) ?? -Infinity) < COMPLAINTS) return;
    this.#complained.set(to, now);
    const fields = { to, code };
    const line = this.#line('error', 'log-failed', fields);
    this.#read(line);
    this.#outlets!.push(line, place);
    if (this.#outlets!.places.includes('stderr')) return;
    this.#complainTo?.(formatText(line.time, 'error', headingOf('log-failed'), fields));
  }
}

function placesOf({ to, errors = [] }: LogSettings): readonly Wanted[] {
  return [
    ...to.map((place) => ({ place, level: 'debug' }) as const),
    ...errors.map((place) => ({ place, level: 'warn' }) as const),
  ];
}
