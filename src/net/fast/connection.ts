import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { concat } from '../../wire/bytes.ts';
import { EARLY_LIMIT } from '../engine.ts';
import type { Connection } from '../engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import { SOCKET_OPTIONS } from '../portable/tcp.ts';
import { EPOLLERR, EPOLLHUP } from '../../sys/constants.ts';
import { systemError } from '../../sys/errors.ts';
import { cameBy } from '../../sys/interface.ts';
import { libc } from '../../sys/libc.ts';
import { bytes as memory } from '../../sys/memory.ts';
import { takeError } from '../../sys/socket.ts';
import { LingeringClose } from './lingering-close.ts';
import type { Loop, Task } from './loop.ts';
import { copyBuffer, COPY_ADDRESS, COPY_SIZE, FAILED, Stream, WAIT } from './stream.ts';

/** Successful immediate reads per turn. */
const BATCH = 8;

/** Takes over a connection that is no longer read through `read`. */
export interface Consumer {
  /** There may be something to read, or room to write. */
  ready(stream: Stream): void;
  /** The connection was closed by another party. */
  gone(stream: Stream): void;
}

interface Reader {
  resolve(bytes: Uint8Array | undefined): void;
  reject(error: Error): void;
}

/** State needed until the connection is taken over. Dropped then, as most of its life comes after that. */
interface HandshakeBuffers {
  /** The peer has ended its direction, and all data before that was read. */
  ended: boolean;
  early: Uint8Array[] | undefined;
  out: Uint8Array | undefined;
  reader: Reader | undefined;
  /** Consecutive reads that found data at once. */
  reads: number;
  lost: ((error?: Error) => void) | undefined;
}

/** A connection over a descriptor, from the handshake to the relay that takes it over. */
export class FastConnection extends Stream implements Connection, Task {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  #talk: HandshakeBuffers | undefined = {
    ended: false,
    early: undefined,
    out: undefined,
    reader: undefined,
    reads: 0,
    lost: undefined,
  };
  #taker: Consumer | undefined;
  #successor: Connection | undefined;
  #whenClosed: (() => void) | undefined;

  /** See `Stream`. */
  constructor(loop: Loop, fd: number, local: Endpoint, remote: Endpoint, slot?: number) {
    super(loop, fd, slot);
    this.local = local;
    this.remote = remote;
  }

  cameBy(interfaceName: string): boolean {
    return this.fd >= 0 && cameBy(this.fd, interfaceName);
  }

  get held(): number {
    const { early = [], out } = this.#talk ?? {};
    return early.reduce((size, bytes) => size + bytes.length, out?.length ?? 0);
  }

  read(): Promise<Uint8Array | undefined> {
    const talk = this.#talk;
    const early = talk?.early?.shift();
    if (early !== undefined) return Promise.resolve(early);
    if (talk?.ended === true) return Promise.resolve(undefined);
    if (talk === undefined || this.fd < 0) return Promise.reject(this.failure());
    return new Promise((resolve, reject) => {
      talk.reader = { resolve, reject };
      if (!this.readable) return;
      if (++talk.reads < BATCH) this.#feed(talk);
      else this.loop.later({ run: () => this.#feedInTurn(talk) });
    });
  }

  unread(bytes: Uint8Array): void {
    if (bytes.length > 0 && this.#talk !== undefined) (this.#talk.early ??= []).unshift(bytes);
  }

  write(bytes: Uint8Array): void {
    if (this.fd < 0) {
      this.#successor?.write(bytes);
      return;
    }
    const talk = this.#talk;
    if (talk === undefined) return;
    if (talk.out === undefined) {
      talk.out = bytes.slice();
      this.loop.soon(this);
    } else {
      talk.out = concat(talk.out, bytes);
    }
  }

  onLost(lost: (error?: Error) => void): void {
    if (this.#talk === undefined) return;
    this.#talk.lost = lost;
    this.keepAlive();
    if (this.fd < 0 || this.over) this.loop.soon(this);
  }

  closeGracefully(linger: number): Promise<void> {
    if (this.#successor !== undefined) return this.#successor.closeGracefully(linger);
    if (this.fd < 0) return Promise.resolve();
    const closed = new Promise<void>((resolve) => {
      this.#whenClosed = resolve;
    });
    if (this.#talk !== undefined) {
      const farewell = new LingeringClose(this, this.#talk.out);
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
    const talk = this.#talk;
    if (talk !== undefined) talk.early = undefined;
    if (this.fd < 0) return;
    if (talk === undefined) {
      // A relay or `closeGracefully` has not finished sending: the stream is truncated, and must look
      // truncated.
      this.reset();
      this.#taker?.gone(this);
    } else {
      this.close();
      talk.reader?.reject(this.failure());
      talk.reader = undefined;
      this.#tellLoss(talk);
    }
  }

  detach(): Duplex {
    const talk = this.#talk;
    if (talk === undefined || this.fd < 0) return new Duplex().destroy(this.failure());
    talk.lost = undefined;
    const early = talk.early ?? [];
    this.#flush(talk);
    if (this.fd < 0) return new Duplex().destroy(this.failure());
    this.sendAtOnce();
    this.keepAlive();
    const stream = new Socket({ ...SOCKET_OPTIONS, fd: this.giveAway() });
    for (const bytes of early.toReversed()) stream.unshift(bytes);
    if (talk.out !== undefined) stream.write(talk.out);
    this.#talk = undefined;
    return stream;
  }

  /** Makes `connection`, which wraps the detached stream, replace this one. */
  succeededBy(connection: Connection): void {
    this.#successor = connection;
  }

  /** Passes everything to the taker. Returns what was read early, and what is not sent yet. */
  handTo(taker: Consumer): { readonly early: Uint8Array | undefined; readonly out: Uint8Array | undefined } {
    const { early = [], out } = this.#talk ?? {};
    this.#taker = taker;
    this.#talk = undefined;
    return { early: early.length === 0 ? undefined : concat(...early), out };
  }

  override changed(events: number): void {
    const talk = this.#talk;
    if (talk === undefined) {
      this.#taker?.ready(this);
      return;
    }
    if (talk.out !== undefined && this.writable) this.#flush(talk);
    this.#feedInTurn(talk);
    if (!this.over) return;
    if (this.fd >= 0 && (events & (EPOLLERR | EPOLLHUP)) !== 0) this.#fail(talk);
    else this.loop.soon(this);
  }

  /** Runs after all current work: sends what was written, and reports a peer that is gone. */
  run(): void {
    const talk = this.#talk;
    if (talk === undefined) return;
    if (talk.out !== undefined) this.#flush(talk);
    if ((this.fd < 0 || this.over) && talk.reader === undefined) this.#tellLoss(talk);
  }

  override close(): void {
    super.close();
    this.#whenClosed?.();
  }

  #feedInTurn(talk: HandshakeBuffers): void {
    talk.reads = 0;
    if (talk.reader !== undefined && this.readable) this.#feed(talk);
  }

  /** Reads for the waiting reader. */
  #feed(talk: HandshakeBuffers): void {
    const count = this.take(COPY_ADDRESS, COPY_SIZE);
    if (count === WAIT) return;
    const { reader } = talk;
    talk.reader = undefined;
    if (count === FAILED) {
      this.close();
      talk.lost = undefined;
      reader?.reject(this.failure());
      return;
    }
    talk.ended = count === 0;
    reader?.resolve(count === 0 ? undefined : memory.slice(copyBuffer, copyBuffer + count));
    // There will be no further event: if there is no other read, the loss must be reported.
    if (this.over && count > 0) this.loop.soon(this);
  }

  /** Sends what was written, while there is room. */
  #flush(talk: HandshakeBuffers): void {
    const { out } = talk;
    if (out === undefined) return;
    const sent = this.send(out);
    talk.out = sent === FAILED || sent === out.length ? undefined : out.subarray(sent);
    if (sent === FAILED) this.#fail(talk);
  }

  /** The connection has failed; data that arrived before can still be read. */
  #fail(talk: HandshakeBuffers): void {
    const code = takeError(this.fd);
    if (code !== 0) this.error ??= systemError(code, 'read');
    let room = EARLY_LIMIT;
    while (room > 0) {
      const count = libc.read(this.fd, COPY_ADDRESS, COPY_SIZE);
      if (count <= 0) break;
      (talk.early ??= []).push(memory.slice(copyBuffer, copyBuffer + count));
      room -= count;
    }
    this.close();
    if (talk.reader === undefined) {
      this.loop.soon(this);
    } else {
      talk.reader.reject(this.failure());
      talk.reader = undefined;
      talk.lost = undefined;
    }
  }

  #tellLoss(talk: HandshakeBuffers): void {
    const { lost } = talk;
    talk.lost = undefined;
    lost?.(this.fd < 0 ? this.failure() : undefined);
  }
}
