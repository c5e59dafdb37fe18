import { closeSync, fstatSync, openSync, write } from 'node:fs';
import { formatJson, formatText } from './format.ts';
import type { Fields } from './format.ts';

export const Level = { error: 0, warn: 1, info: 2, debug: 3 } as const;
export type Level = keyof typeof Level;

export interface LogSettings {
  /** @default 'info' */
  readonly level: Level;
  /** @default 'text' */
  readonly format: 'text' | 'json';
  /** @default 'stderr' */
  readonly to: 'stderr' | { readonly file: string };
}

/** Bytes that may wait for a slow disk or pipe; lines beyond are lost, counted, and the count is logged. */
const QUEUE_LIMIT = 4 * 1024 * 1024;

/**
 * Lines of text or JSON to standard error or a file. A line costs its caller only its formatting: lines are gathered and
 * written off the event loop, one write at a time, and a log that cannot be written never holds up a connection.
 */
export class Log {
  #settings: LogSettings;
  #fd: number;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #writing = false;
  #lost = 0;
  #idle: (() => void)[] = [];

  /** Opens the file; throws Node's error when it cannot. */
  constructor(settings: LogSettings) {
    this.#settings = settings;
    this.#fd = open(settings);
  }

  /** Changes level, format and place, and opens the file anew (after a rotation). On an error everything stays as it was. */
  reopen(settings: LogSettings): void {
    const fd = open(settings);
    const before = this.#fd;
    this.#settings = settings;
    this.#fd = fd;
    // A write under way still has the old descriptor.
    if (before !== 2) this.#whenIdle(() => closeSync(before));
  }

  writes(level: Level): boolean {
    return Level[level] <= Level[this.#settings.level];
  }

  error(message: string, fields?: Fields): void {
    this.#line('error', message, fields);
  }

  warn(message: string, fields?: Fields): void {
    this.#line('warn', message, fields);
  }

  info(message: string, fields?: Fields): void {
    this.#line('info', message, fields);
  }

  debug(message: string, fields?: Fields): void {
    this.#line('debug', message, fields);
  }

  /** Writes what waits and closes the file. */
  async close(): Promise<void> {
    await this.flush();
    if (this.#fd !== 2) closeSync(this.#fd);
    this.#fd = 2;
  }

  /** Resolves when everything logged so far has been handed to the system. */
  flush(): Promise<void> {
    return new Promise((resolve) => this.#whenIdle(resolve));
  }

  #line(level: Level, event: string, fields: Fields = {}): void {
    if (!this.writes(level)) return;
    const format = this.#settings.format === 'json' ? formatJson : formatText;
    const line = format(Date.now(), level, event, fields);
    if (this.#waitingBytes + line.length > QUEUE_LIMIT) {
      this.#lost++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (!this.#writing) {
      this.#writing = true;
      setImmediate(() => this.#write());
    }
  }

  #write(): void {
    const lines = this.#waiting;
    if (lines.length === 0) {
      this.#writing = false;
      const idle = this.#idle;
      this.#idle = [];
      for (const done of idle) done();
      return;
    }
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#writeAll(Buffer.from(lines.join('')), lines.length);
  }

  #writeAll(bytes: Buffer, lines: number): void {
    write(this.#fd, bytes, (error, written) => {
      if (error?.code === 'EAGAIN') {
        // Somebody made our standard error non-blocking: look again a little later.
        setTimeout(() => this.#writeAll(bytes, lines), 20);
      } else if (error) {
        this.#lost += lines;
        this.#write();
      } else if (written < bytes.length) {
        this.#writeAll(bytes.subarray(written), lines);
      } else {
        this.#reportLost();
        this.#write();
      }
    });
  }

  #reportLost(): void {
    if (this.#lost === 0) return;
    const lost = this.#lost;
    this.#lost = 0;
    this.warn('log lines were lost, the log could not be written fast enough or not at all', { lost });
  }

  #whenIdle(done: () => void): void {
    if (this.#writing) this.#idle.push(done);
    else done();
  }
}

function open(settings: LogSettings): number {
  if (settings.to === 'stderr') return 2;
  const fd = openSync(settings.to.file, 'a', 0o640);
  if (fstatSync(fd).isDirectory())
    throw Object.assign(new Error(`${settings.to.file} is a folder`), { code: 'EISDIR' });
  return fd;
}
