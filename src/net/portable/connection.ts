import { Duplex } from 'node:stream';
import { EARLY_LIMIT } from '../engine.ts';
import type { Connection, Reset } from '../engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import { startReading, stopReading } from './handle.ts';
import { resetError, signs } from './signs.ts';

/** What a chunk costs beside its bytes, for peers that send them one by one. */
const CHUNK_COST = 256;

/** Milliseconds. */
const PROBE_INTERVAL = 1000;

/** Who gets what a connection brings once `read` no longer does. */
export interface Consumer {
  data(chunk: Uint8Array): void;
  ended(): void;
  /** All that was written is with the kernel, after a write that said it was not. */
  drained(): void;
  /** Nothing comes any more. Both directions had ended in order unless there is an error. */
  closed(error?: Error): void;
}

interface Reader {
  resolve(bytes: Uint8Array | undefined): void;
  reject(error: Error): void;
}

/** A connection over a Node stream. Its listeners stay the same from beginning to end; who gets the bytes changes. */
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
  /** While more has come than is kept, and nobody reads. */
  #lookout: NodeJS.Timeout | undefined;
  #error: Error | undefined;
  #reader: Reader | undefined;
  #lost: ((error?: Error) => void) | undefined;
  #taker: Consumer | undefined;

  /** `reset` where the stream can be closed with a reset, as a TCP socket can. */
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
    return false; // Node has no way to ask
  }

  get held(): number {
    const { readableLength, writableLength } = this.stream;
    // What goes through TLS is kept as it was, and encrypted.
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
    // Node keeps what it cannot send at once, and the caller's buffer is the caller's.
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
    // What was given to a relay or `closeGracefully` and not sent to its end is cut, and has to look cut.
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
    // A stream whose last `readable` listener has gone is as good as new: whatever listens next makes it flow.
    stream.on('readable', nothing);
    stream.off('readable', nothing);
    const early = this.#forgetEarly();
    // One that has told its end takes nothing back.
    if (stream.readableEnded && early.length > 0) return afterEnd(stream, early);
    for (const bytes of early.toReversed()) stream.unshift(bytes);
    return stream;
  }

  /** From now on everything goes to `taker`, beginning with what came before. */
  handTo(taker: Consumer): void {
    this.#lost = undefined;
    this.#taker = taker;
    this.resume();
    for (const bytes of this.#forgetEarly()) taker.data(bytes);
    if (this.#ended) taker.ended();
    if (this.#closed) taker.closed(this.#loss());
  }

  /** Nothing more is read, for now. */
  pause(): void {
    this.stream.pause();
    this.#stopped ||= stopReading(this.stream);
  }

  resume(): void {
    this.#goOnReading();
    this.stream.resume();
  }

  /** Closes at once, with a reset where that is possible, so that the peer cannot take a cut stream for a whole one. */
  reset(): void {
    const { stream } = this;
    // libuv refuses to reset while it passes on the end of stream (EINVAL); then all bytes are with the kernel already.
    const ending = stream.writableEnded && !stream.writableFinished && stream.writableLength === 0;
    // A stream that was passed on to its end is whole: the kernel delivers the rest of it.
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

  /** Takes nothing more until somebody reads, and looks whether the peer is still there: that shows by reading only. */
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

  /** Why it closed, unless both directions had ended in order. */
  #loss(): Error | undefined {
    const orderly = this.#error === undefined && this.stream.readableEnded && this.stream.writableFinished;
    return orderly ? undefined : this.#failure();
  }

  #failure(): Error {
    return this.#error ?? Object.assign(new Error('the connection is closed'), { code: 'ECONNABORTED' });
  }
}

function nothing(): void {}

/** A stream that still gives `early` before the end that `stream` has told already. */
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
