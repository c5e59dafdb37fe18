import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Connection, Endpoint } from '../engine.ts';
import { SOCKET_OPTIONS } from '../portable/tcp.ts';
import { EPOLLERR, EPOLLHUP } from '../sys/constants.ts';
import { systemError } from '../sys/errors.ts';
import { libc } from '../sys/libc.ts';
import { bytes as memory } from '../sys/memory.ts';
import { Farewell } from './farewell.ts';
import { cameBy } from './interface.ts';
import type { Loop, Task } from './loop.ts';
import { takeError } from './socket.ts';
import { copy, COPY_ADDRESS, COPY_SIZE, FAILED, Stream, WAIT } from './stream.ts';

/** Bytes kept of a connection that has failed, for a caller who still reads. */
const EARLY_LIMIT = 65_536;

/** Who looks after a connection once nobody reads it any more. */
export interface Taker {
  /** There may be something to read, or room to write. */
  ready(stream: Stream): void;
  /** Somebody else has closed it. */
  gone(stream: Stream): void;
}

interface Reader {
  resolve(bytes: Uint8Array | undefined): void;
  reject(error: Error): void;
}

/** A connection over a descriptor: who reads it changes, from the handshake to a relay. */
export class FastConnection extends Stream implements Connection, Task {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** The peer has ended its direction, and all before was read. */
  #ended = false;
  #early: Uint8Array[] | undefined;
  #out: Uint8Array | undefined;
  #reader: Reader | undefined;
  #lost: ((error?: Error) => void) | undefined;
  #taker: Taker | undefined;
  #successor: Connection | undefined;
  #whenClosed: (() => void) | undefined;

  /** As `Stream` takes it. */
  constructor(loop: Loop, fd: number, local: Endpoint, remote: Endpoint, slot?: number) {
    super(loop, fd, slot);
    this.local = local;
    this.remote = remote;
  }

  cameBy(interfaceName: string): boolean {
    return this.fd >= 0 && cameBy(this.fd, interfaceName);
  }

  read(): Promise<Uint8Array | undefined> {
    const early = this.#early?.shift();
    if (early !== undefined) return Promise.resolve(early);
    if (this.#ended) return Promise.resolve(undefined);
    if (this.fd < 0) return Promise.reject(this.failure());
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      if (this.readable) this.#feed();
    });
  }

  unread(bytes: Uint8Array): void {
    if (bytes.length > 0) (this.#early ??= []).unshift(bytes);
  }

  write(bytes: Uint8Array): void {
    if (this.fd < 0) {
      this.#successor?.write(bytes);
      return;
    }
    if (this.#out === undefined) {
      this.#out = bytes.slice();
      this.loop.soon(this);
    } else {
      this.#out = joined(this.#out, bytes);
    }
  }

  onLost(lost: (error?: Error) => void): void {
    this.#lost = lost;
    if (this.fd < 0 || this.over) this.loop.soon(this);
  }

  finish(linger: number): Promise<void> {
    if (this.#successor !== undefined) return this.#successor.finish(linger);
    if (this.fd < 0) return Promise.resolve();
    const closed = new Promise<void>((resolve) => {
      this.#whenClosed = resolve;
    });
    if (this.#taker === undefined) {
      const farewell = new Farewell(this, this.#out);
      this.handTo(farewell);
      farewell.begin(linger);
    }
    return closed;
  }

  destroy(reason?: Error): void {
    if (this.#successor !== undefined) {
      this.#successor.destroy(reason);
      return;
    }
    this.error ??= reason;
    this.#early = undefined;
    if (this.fd < 0) return;
    const taker = this.#taker;
    // What was given to a relay or `finish` and not sent to its end is cut, and has to look cut.
    if (taker === undefined) this.close();
    else this.reset();
    taker?.gone(this);
    this.#reader?.reject(this.failure());
    this.#reader = undefined;
    this.#tellLoss();
  }

  detach(): Duplex {
    this.#lost = undefined;
    const early = this.#early ?? [];
    if (this.fd < 0) return new Duplex().destroy(this.failure());
    this.#flush();
    this.sendAtOnce();
    this.keepAlive();
    const stream = new Socket({ ...SOCKET_OPTIONS, fd: this.giveAway() });
    for (const bytes of early.toReversed()) stream.unshift(bytes);
    if (this.#out !== undefined) stream.write(this.#out);
    return stream;
  }

  /** From now on `connection`, made of the detached stream, stands for this one. */
  succeededBy(connection: Connection): void {
    this.#successor = connection;
  }

  /** From now on everything is the taker's business. Gives what was read too early, and what is not sent yet. */
  handTo(taker: Taker): { readonly early: Uint8Array | undefined; readonly out: Uint8Array | undefined } {
    const kept = this.#early ?? [];
    const early = kept.length === 0 ? undefined : kept.reduce(joined);
    const out = this.#out;
    this.#taker = taker;
    this.#lost = undefined;
    this.#early = undefined;
    this.#out = undefined;
    return { early, out };
  }

  override changed(events: number): void {
    if (this.#taker !== undefined) {
      this.#taker.ready(this);
      return;
    }
    if (this.#out !== undefined && this.writable) this.#flush();
    if (this.#reader !== undefined && this.readable) this.#feed();
    if (!this.over) return;
    if (this.fd >= 0 && (events & (EPOLLERR | EPOLLHUP)) !== 0) this.#fail();
    else this.loop.soon(this);
  }

  /** When everything has come to rest: sends what was written, and tells whoever wants to know that the peer has gone. */
  run(): void {
    if (this.#taker !== undefined) return;
    if (this.#out !== undefined) this.#flush();
    if ((this.fd < 0 || this.over) && this.#reader === undefined) this.#tellLoss();
  }

  override close(): void {
    super.close();
    this.#whenClosed?.();
  }

  /** To the reader who waits. */
  #feed(): void {
    const count = this.take(COPY_ADDRESS, COPY_SIZE);
    if (count === WAIT) return;
    const reader = this.#reader;
    this.#reader = undefined;
    if (count === FAILED) {
      this.close();
      this.#lost = undefined;
      reader?.reject(this.failure());
      return;
    }
    this.#ended = count === 0;
    reader?.resolve(count === 0 ? undefined : memory.slice(copy, copy + count));
    // Nothing more will happen: if nobody reads on, somebody has to be told.
    if (this.over && count > 0) this.loop.soon(this);
  }

  /** Sends what was written, as far as there is room. */
  #flush(): void {
    const out = this.#out;
    if (out === undefined) return;
    const sent = this.send(out);
    this.#out = sent === FAILED || sent === out.length ? undefined : out.subarray(sent);
    if (sent === FAILED) this.#fail();
  }

  /** The connection is gone; what came before that can still be read. */
  #fail(): void {
    const code = takeError(this.fd);
    if (code !== 0) this.error ??= systemError(code, 'read');
    let room = EARLY_LIMIT;
    while (room > 0) {
      const count = libc.read(this.fd, COPY_ADDRESS, COPY_SIZE);
      if (count <= 0) break;
      (this.#early ??= []).push(memory.slice(copy, copy + count));
      room -= count;
    }
    this.close();
    if (this.#reader === undefined) {
      this.loop.soon(this);
    } else {
      this.#reader.reject(this.failure());
      this.#reader = undefined;
      this.#lost = undefined;
    }
  }

  #tellLoss(): void {
    const lost = this.#lost;
    this.#lost = undefined;
    lost?.(this.fd < 0 ? this.failure() : undefined);
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
