import type { Task } from './loop.ts';
import { COPY_ADDRESS, COPY_SIZE, FAILED } from './stream.ts';
import type { Stream } from './stream.ts';

/** Reads per turn. */
const BATCH = 16;

/**
 * Sends the remaining data and the end of stream, then reads and discards until the peer has ended too or
 * time is up.
 */
export class LingeringClose implements Task {
  readonly #stream: Stream;
  #left: Uint8Array | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: Stream, left: Uint8Array | undefined) {
    this.#stream = stream;
    this.#left = left;
  }

  begin(linger: number): void {
    this.#timer = setTimeout(() => this.#end(), linger);
    this.run();
  }

  ready(): void {
    this.run();
  }

  gone(): void {
    clearTimeout(this.#timer);
  }

  run(): void {
    const stream = this.#stream;
    if (stream.fd < 0) return;
    if (this.#left !== undefined) {
      const sent = stream.send(this.#left);
      if (sent === FAILED) return this.#end();
      this.#left = sent === this.#left.length ? undefined : this.#left.subarray(sent);
    }
    if (this.#left === undefined && !stream.shut) stream.shutdown();
    for (let i = 0; stream.readable; i++) {
      if (i === BATCH) return stream.loop.later(this);
      const count = stream.take(COPY_ADDRESS, COPY_SIZE);
      if (count === FAILED || (count === 0 && stream.shut)) return this.#end();
      if (count === 0) return;
    }
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#stream.close();
  }
}
