import { close, closeSync, constants, fstatSync, openSync, readSync, write } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Line } from '../line.ts';
import { faultOf } from '../sink.ts';
import type { Outcome, Sink } from '../sink.ts';

const writeBytes = promisify(write);
const STDERR = 2;
const NEWLINE = 0x0a;
/** Milliseconds until a pipe that is full is tried again. */
const FULL_PIPE = 20;

/** Standard error, a file, or a named pipe. */
export class FileSink implements Sink {
  readonly #fd: number;
  #busy = false;
  #closed = false;
  /** What was written last is not a whole line. */
  #torn: boolean;

  /** Throws Node's error when it cannot be opened. */
  static open(path: string): FileSink {
    // Without O_NONBLOCK a named pipe that nobody reads would stop everything right here.
    const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;
    const fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o640);
    return new FileSink(fd, endsTorn(path, fd));
  }

  static stderr(): FileSink {
    unblockStderr();
    return new FileSink(STDERR, false);
  }

  private constructor(fd: number, torn: boolean) {
    this.#fd = fd;
    this.#torn = torn;
  }

  async write(lines: readonly Line[]): Promise<Outcome> {
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
    // The descriptor's number must not be used by another file while a write still has it.
    if (!this.#busy) this.#release();
  }

  async #write(lines: readonly Line[]): Promise<Outcome> {
    // What follows a torn line must not look like its end.
    const start = this.#torn ? '\n' : '';
    const bytes = Buffer.from(lines.reduce((text, { prefix, message }) => text + prefix + message, start));
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
    if (this.#fd === STDERR) return;
    // Whatever a full or broken disk still has to say here, there is nothing left to do about it.
    close(this.#fd, () => {});
  }
}

/** Tries it once: who does not read standard error holds up nothing. */
export function tellOnStderr(text: string): void {
  unblockStderr();
  write(STDERR, text, () => {});
}

/** Being asked for it, Node makes a pipe or socket non-blocking. A write that blocks could not be left behind: even process.exit() waits for it. */
function unblockStderr(): void {
  void process.stderr;
}

/** Whether a file ends in the middle of a line: of a process that was killed, or of a disk that was full. */
function endsTorn(path: string, fd: number): boolean {
  const stat = fstatSync(fd);
  if (!stat.isFile() || stat.size === 0) return false;
  let reading: number;
  try {
    reading = openSync(path, 'r');
  } catch {
    return false; // written by us, read by others only
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
