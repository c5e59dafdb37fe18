import { readFileSync, statSync } from 'node:fs';
import { textOf } from '../wire/text-file.ts';

/** Milliseconds between two looks at the file's time and size. */
const LOOK_INTERVAL = 2000;

/**
 * What a small system file says, read again when the file has changed. A file that cannot be read says nothing, as for
 * the C library. Read synchronously: a look every two seconds costs less than a turn through the thread pool.
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

  /** The same object until the file has changed. */
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
    // One that is there and cannot be opened, for want of a descriptor, is tried again at the next look.
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
