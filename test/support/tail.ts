import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/**
 * A file of JSON lines written by another process: each line is read and parsed once. After a rotation only
 * the new file is read.
 */
export class Tail<Line> {
  readonly #path: string;
  #inode = 0;
  #offset = 0;
  #lines: Line[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  /** The complete lines so far: the last one may still be incomplete. */
  lines(): readonly Line[] {
    let file: number;
    try {
      file = openSync(this.#path, 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      this.#restart(0);
      return this.#lines;
    }
    try {
      const { ino, size } = fstatSync(file);
      if (ino !== this.#inode || size < this.#offset) this.#restart(ino);
      this.#read(file, size - this.#offset);
    } finally {
      closeSync(file);
    }
    return this.#lines;
  }

  #restart(inode: number): void {
    this.#inode = inode;
    this.#offset = 0;
    this.#lines = [];
  }

  #read(file: number, count: number): void {
    if (count === 0) return;
    const bytes = Buffer.alloc(count);
    const text = bytes.subarray(0, readSync(file, bytes, 0, count, this.#offset));
    const whole = text.subarray(0, text.lastIndexOf(10) + 1);
    this.#offset += whole.length;
    for (const line of whole.toString().split('\n'))
      if (line !== '') this.#lines.push(JSON.parse(line) as Line);
  }
}
