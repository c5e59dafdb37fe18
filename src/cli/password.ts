import type { Readable, Writable } from 'node:stream';
import type { ReadStream } from 'node:tty';
import { textOf } from '../wire/text-file.ts';

/** The standard streams of a command. */
export interface Io {
  readonly stdin: Readable & Partial<Pick<ReadStream, 'isTTY' | 'setRawMode'>>;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

/** Asks for a password on the terminal without echo; `undefined` after Ctrl-C. */
export async function askPassword(io: Io, prompt: string): Promise<string | undefined> {
  // Turns echo off before the prompt, so that early input is not shown.
  io.stdin.setRawMode?.(true);
  io.stderr.write(prompt);
  try {
    return await readLine(io.stdin, type);
  } finally {
    io.stdin.setRawMode?.(false);
    io.stderr.write('\n');
  }
}

/** The first line of standard input, without its line ending. */
export async function pipedPassword(io: Io): Promise<string> {
  const line = await readLine(io.stdin, append);
  return line!.replace(/\r$/, '');
}

/** Processes one byte of the line, and returns how to continue. */
type Take = (line: number[], byte: number) => 'more' | 'done' | 'interrupted';

const Key = { interrupt: 3, end: 4, backspace: 8, lineFeed: 10, enter: 13, clear: 21, delete: 127 } as const;

/** Bytes, more than any password has. The rest is dropped. */
const LONGEST_LINE = 4096;

const append: Take = (line, byte) => {
  if (byte === Key.lineFeed) return 'done';
  line.push(byte);
  return 'more';
};

const type: Take = (line, byte) => {
  switch (byte) {
    case Key.enter:
    case Key.lineFeed:
      return 'done';
    case Key.interrupt:
      return 'interrupted';
    case Key.end:
      return line.length === 0 ? 'done' : 'more';
    case Key.backspace:
    case Key.delete:
      // A UTF-8 character: its continuation bytes, then its first byte.
      while ((line.at(-1)! & 0xc0) === 0x80) line.pop();
      line.pop();
      return 'more';
    case Key.clear:
      line.length = 0;
      return 'more';
    default:
      if (byte >= 0x20) line.push(byte);
      return 'more';
  }
};

function readLine(stdin: Readable, take: Take): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const line: number[] = [];
    const settle = (): void => {
      stdin.off('data', read).off('end', end).off('error', fail);
      // Allows the process to end.
      stdin.pause();
    };
    const read = (chunk: Buffer): void => {
      for (const [index, byte] of chunk.entries()) {
        const state = take(line, byte);
        if (line.length > LONGEST_LINE) line.length = LONGEST_LINE;
        if (state === 'more') continue;
        settle();
        // Input typed ahead answers the next question.
        if (index + 1 < chunk.length) stdin.unshift(chunk.subarray(index + 1));
        resolve(state === 'done' ? textOf(Buffer.from(line)) : undefined);
        return;
      }
    };
    const end = (): void => {
      settle();
      resolve(textOf(Buffer.from(line)));
    };
    const fail = (error: Error): void => {
      settle();
      reject(error);
    };
    if (stdin.readableEnded) return resolve('');
    stdin.on('data', read).on('end', end).on('error', fail).resume();
  });
}
