import { Duplex } from 'node:stream';
import { EARLY_LIMIT } from '../engine.ts';
import type { Connection, Reset } from '../engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import { startReading, stopReading } from './handle.ts';
import { resetError, signs } from './signs.ts';

/** The overhead per chunk, for peers that send single bytes. */
const CHUNK_COST = 256;

/** Milliseconds. */
const PROBE_INTERVAL = 1000;

/** Receives a connection's data after `read` is no longer used. */
export interface Consumer {
  data(chunk: Uint8Array): void;
  ended(): void;
  /** All data was passed to the kernel, after a write that returned false. */
  drained(): void;
  /** Nothing more will arrive. Without an error, both directions ended normally. */
  closed(error?: Error): void;
}

interface Reader {
  resolve(bytes: Uint8Array | undefined): void;
  reject(error: Error): void;
}

/**
 * A connection over a Node stream. Its listeners are never replaced; only the receiver of the data changes.
 */
export class PortableConnection implements Connection {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** For the taker, which writes, pauses and resumes. */
  readonly stream: Duplex;
  readonly #reset: Reset | undefined;
  #early: Uint8Array[] = [];
  #earlySize = 0;
  #ended = false;
  #closed = false;
  #stopped = false;
  /** Runs while more has arrived than is kept, without a reader. */
  #lookout: NodeJS.Timeout | undefined;
  #error: Error | undefined;
  #reader: Reader | undefined;
  #lost: ((error?: Error) => void) | undefined;
  #taker: Consumer | undefined;

  /** `reset`: given where the stream can be closed with a reset, as a TCP socket can. */
  constructor(stream: Duplex, local: Endpoint, remote: Endpoint, reset?: Reset) {
    this.local = local;
    this.remote = remote;
    this.stream = stream;
    this.#reset = reset;
    this.#ended = stream.readableEnded;
    if (stream.destroyed) this.#onClose();
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
    stream.on('drain', this.#onDrain);
    stream.on('error', this.#onError);
    stream.on('close', this.#onClose);
  }

  cameBy(): boolean {
    return false; // Node cannot tell
  }

  get held(): number {
    const { readableLength, writableLength } = this.stream;
    // Data written to TLS is kept both as plain text and encrypted.
    return this.#earlySize + readableLength + writableLength * ('encrypted' in this.stream ? 2 : 1);
  }

  read(): Promise<Uint8Array | undefined> {
    const bytes = this.#early.shift();
    if (bytes !== undefined) {
      this.#earlySize -= bytes.length + CHUNK_COST;
      if (this.#earlySize < EARLY_LIMIT && this.stream.isPaused()) this.resume();
      return Promise.resolve(bytes);
    }
    if (this.#ended) return Promise.resolve(undefined);
    if (this.#closed) return Promise.reject(this.#failure());
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  unread(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#early.unshift(bytes);
    this.#earlySize += bytes.length + CHUNK_COST;
  }

  write(bytes: Uint8Array): void {
    // Node keeps what it cannot send at once, but the caller may reuse the buffer.
    if (this.stream.writable) this.stream.write(new Uint8Array(bytes));
  }

  onLost(lost: (error?: Error) => void): void {
    this.#lost = lost;
    if (this.#closed) queueMicrotask(() => this.#lose(this.#failure()));
    else if (this.#ended) queueMicrotask(() => this.#lose());
  }

  closeGracefully(linger: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const gone = new Promise<void>((resolve) => this.stream.once('close', () => resolve()));
    if (this.#taker !== undefined) return gone;
    const timer = setTimeout(() => this.stream.destroy(), linger);
    this.handTo({ data: nothing, ended: nothing, drained: nothing, closed: () => clearTimeout(timer) });
    this.stream.end();
    return gone;
  }

  destroy(reason?: Error): void {
    this.#error ??= reason;
    this.#forgetEarly();
    // A relay or `closeGracefully` has not finished sending: the stream is truncated, and must look
    // truncated.
    if (this.#taker !== undefined) this.reset();
    else this.stream.destroy();
  }

  detach(): Duplex {
    const { stream } = this;
    this.#lost = undefined;
    this.#goOnReading();
    stream.off('data', this.#onData);
    stream.off('end', this.#onEnd);
    stream.off('drain', this.#onDrain);
    stream.off('error', this.#onError);
    stream.off('close', this.#onClose);
    // When its last `readable` listener is removed, a stream behaves like a new one: the next listener makes
    // it flow.
    stream.on('readable', nothing);
    stream.off('readable', nothing);
    const early = this.#forgetEarly();
    // A stream that has already emitted its end cannot be unshifted to.
    if (stream.readableEnded && early.length > 0) return afterEnd(stream, early);
    for (const bytes of early.toReversed()) stream.unshift(bytes);
    return stream;
  }

  /** From now on all data goes to `taker`, beginning with what has already arrived. */
  handTo(taker: Consumer): void {
    this.#lost = undefined;
    this.#taker = taker;
    this.resume();
    for (const bytes of this.#forgetEarly()) taker.data(bytes);
    if (this.#ended) taker.ended();
    if (this.#closed) taker.closed(this.#loss());
  }

  /** Suspends reading. */
  pause(): void {
    this.stream.pause();
    this.#stopped ||= stopReading(this.stream);
  }

  resume(): void {
    this.#goOnReading();
    this.stream.resume();
  }

  /** Closes at once, with a reset if possible, so that a truncated stream does not look complete. */
  reset(): void {
    const { stream } = this;
    // libuv refuses to reset while it is sending the end of stream (EINVAL); by then the kernel has all the
    // bytes.
    const ending = stream.writableEnded && !stream.writableFinished && stream.writableLength === 0;
    // A stream that was sent to its end is complete: the kernel delivers the rest.
    if (this.#reset === undefined || ending || stream.writableFinished) stream.destroy();
    else this.#reset.resetAndDestroy();
  }

  readonly #onData = (chunk: Uint8Array): void => {
    if (this.#taker !== undefined) {
      this.#taker.data(chunk);
    } else if (this.#reader !== undefined) {
      this.#reader.resolve(chunk);
      this.#reader = undefined;
    } else {
      this.#early.push(chunk);
      this.#earlySize += chunk.length + CHUNK_COST;
      if (this.#earlySize >= EARLY_LIMIT) this.#holdOff();
    }
  };

  readonly #onEnd = (): void => {
    this.#look();
    if (this.stream.destroyed) return;
    this.#ended = true;
    if (this.#taker !== undefined) this.#taker.ended();
    else if (this.#reader === undefined) this.#lose();
    this.#reader?.resolve(undefined);
    this.#reader = undefined;
  };

  readonly #onDrain = (): void => {
    this.#taker?.drained();
  };

  readonly #onError = (error: Error): void => {
    this.#error ??= error;
  };

  readonly #onClose = (): void => {
    clearInterval(this.#lookout);
    this.#closed = true;
    if (this.#taker !== undefined) this.#taker.closed(this.#loss());
    else if (this.#reader !== undefined) this.#reader.reject(this.#failure());
    else this.#lose(this.#failure());
  };

  /**
   * Stops reading until there is a reader, and checks whether the peer is still connected, which only shows
   * when reading.
   */
  #holdOff(): void {
    this.pause();
    this.#lookout ??= setInterval(() => this.#look(), PROBE_INTERVAL).unref();
  }

  #look(): void {
    if (!signs.isReset(this.stream)) return;
    this.#error ??= resetError();
    this.stream.destroy();
  }

  #goOnReading(): void {
    clearInterval(this.#lookout);
    this.#lookout = undefined;
    if (this.#stopped) startReading(this.stream);
    this.#stopped = false;
  }

  #lose(error?: Error): void {
    const lost = this.#lost;
    this.#lost = undefined;
    lost?.(error);
  }

  #forgetEarly(): Uint8Array[] {
    const early = this.#early;
    this.#early = [];
    this.#earlySize = 0;
    return early;
  }

  /** Why it closed; `undefined` if both directions had ended normally. */
  #loss(): Error | undefined {
    const orderly = this.#error === undefined && this.stream.readableEnded && this.stream.writableFinished;
    return orderly ? undefined : this.#failure();
  }

  #failure(): Error {
    return this.#error ?? Object.assign(new Error('the connection is closed'), { code: 'ECONNABORTED' });
  }
}

function nothing(): void {}

/** A stream that delivers `early` before the end that `stream` has already emitted. */
function afterEnd(stream: Duplex, early: readonly Uint8Array[]): Duplex {
  const whole = new Duplex({
    read() {
      for (const bytes of [...early, null]) this.push(bytes);
    },
    write: (chunk: Uint8Array, _encoding, done) => void stream.write(chunk, done),
    final: (done) => void stream.end(done),
    destroy(error, done) {
      stream.destroy();
      done(error);
    },
  });
  stream.on('error', (error) => whole.destroy(error));
  return whole;
}
