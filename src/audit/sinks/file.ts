import { close, closeSync, constants, fstatSync, openSync, readSync, write } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Line } from '../line.ts';
import { faultOf } from '../sink.ts';
import type { WriteOutcome, Sink } from '../sink.ts';

const writeBytes = promisify(write);
const STANDARD = { stdout: 1, stderr: 2 } as const;
const NEWLINE = 0x0a;
/** Milliseconds before a full pipe is tried again. */
const FULL_PIPE = 20;

/** A standard stream, a file, or a named pipe. */
export class FileSink implements Sink {
  readonly #fd: number;
  #busy = false;
  #closed = false;
  /** The last write ended in the middle of a line. */
  #torn: boolean;

  /** Throws Node's error if the file cannot be opened. */
  static open(path: string): FileSink {
    // Without O_NONBLOCK, opening a named pipe without a reader would block the process here.
    const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;
    const fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o640);
    return new FileSink(fd, endsTorn(path, fd));
  }

  static standard(stream: keyof typeof STANDARD): FileSink {
    unblock(stream);
    return new FileSink(STANDARD[stream], false);
  }

  private constructor(fd: number, torn: boolean) {
    this.#fd = fd;
    this.#torn = torn;
  }

  async write(lines: readonly Line[]): Promise<WriteOutcome> {
    this.#busy = true;
    try {
      return await this.#write(lines);
    } finally {
      this.#busy = false;
      if (this.#closed) this.#release();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // The number of the descriptor must not be reused while a write still holds it.
    if (!this.#busy) this.#release();
  }

  async #write(lines: readonly Line[]): Promise<WriteOutcome> {
    // A newline first, so that the next line is not appended to a torn one.
    const start = this.#torn ? '\n' : '';
    const bytes = Buffer.from(lines.reduce((whole, { prefix, text }) => whole + prefix + text, start));
    let written = 0;
    let fault: string | undefined;
    while (written < bytes.length && fault === undefined && !this.#closed) {
      try {
        const { bytesWritten } = await writeBytes(this.#fd, bytes, written);
        written += bytesWritten;
      } catch (error) {
        if (faultOf(error) === 'EAGAIN') await delay(FULL_PIPE);
        else fault = faultOf(error);
      }
    }
    if (written === bytes.length) {
      this.#torn = false;
      return { taken: lines.length };
    }
    if (written > 0) this.#torn = bytes[written - 1] !== NEWLINE;
    const taken = countLines(bytes.subarray(start.length, written));
    return fault === undefined ? { taken } : { taken, fault };
  }

  #release(): void {
    if (this.#fd <= STANDARD.stderr) return;
    // Errors on close, as from a full disk, can no longer be acted on.
    close(this.#fd, () => {});
  }
}

/** Tries once: a reader that does not read standard error must not delay anything. */
export function tellOnStderr(text: string): void {
  unblock('stderr');
  write(STANDARD.stderr, text, () => {});
}

/**
 * Reading `process.stderr` makes Node set a pipe or socket non-blocking. A blocking write could not be
 * abandoned: even process.exit() waits for it.
 */
function unblock(stream: keyof typeof STANDARD): void {
  void process[stream];
}

/** Whether a file ends in the middle of a line, left by a killed process or a full disk. */
function endsTorn(path: string, fd: number): boolean {
  const stat = fstatSync(fd);
  if (!stat.isFile() || stat.size === 0) return false;
  let reading: number;
  try {
    reading = openSync(path, 'r');
  } catch {
    return false; // writable by us, but not readable
  }
  const last = Buffer.alloc(1);
  readSync(reading, last, 0, 1, stat.size - 1);
  closeSync(reading);
  return last[0] !== NEWLINE;
}

function countLines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count++;
  return count;
}
