import { readFileSync, statSync } from 'node:fs';
import { textOf } from '../wire/text-file.ts';

/** Milliseconds between two checks of the file's time and size. */
const LOOK_INTERVAL = 2000;

/**
 * The parsed content of a small system file, read again when the file has changed. An unreadable file counts
 * as empty, as in the C library. Read synchronously: a check every two seconds costs less than a round trip
 * through the thread pool.
 */
export class RereadFile<T> {
  readonly #path: string;
  readonly #parse: (text: string) => T;
  readonly #now: () => number;
  #value: T;
  #stamp = '';
  #nextLook = -Infinity;

  /** `now` is a monotonic clock in milliseconds. */
  constructor(path: string, parse: (text: string) => T, now: () => number) {
    this.#path = path;
    this.#parse = parse;
    this.#now = now;
    this.#value = parse('');
  }

  /** The same object until the file changes. */
  get value(): T {
    const now = this.#now();
    if (now >= this.#nextLook) {
      this.#nextLook = now + LOOK_INTERVAL;
      this.#look();
    }
    return this.#value;
  }

  #look(): void {
    const stamp = stampOf(this.#path);
    if (stamp === this.#stamp) return;
    const text = stamp === '' ? '' : read(this.#path);
    // A file that exists but cannot be opened, for lack of a descriptor, is tried again at the next check.
    if (text === undefined) return;
    this.#stamp = stamp;
    this.#value = this.#parse(text);
  }
}

function stampOf(path: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch {
    return '';
  }
}

function read(path: string): string | undefined {
  try {
    return textOf(readFileSync(path));
  } catch {
    return undefined;
  }
}
