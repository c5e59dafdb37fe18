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

/** Reads that find something at once, before others have their turn. */
const BATCH = 8;

/** Who looks after a connection once nobody reads it any more. */
export interface Consumer {
  /** There may be something to read, or room to write. */
  ready(stream: Stream): void;
  /** Somebody else has closed it. */
  gone(stream: Stream): void;
}

interface Reader {
  resolve(bytes: Uint8Array | undefined): void;
  reject(error: Error): void;
}

/** What is needed until somebody takes the connection over. Most of its life is after that, so then it is dropped. */
interface HandshakeBuffers {
  /** The peer has ended its direction, and all before was read. */
  ended: boolean;
  early: Uint8Array[] | undefined;
  out: Uint8Array | undefined;
  reader: Reader | undefined;
  /** That found something at once, in a row. */
  reads: number;
  lost: ((error?: Error) => void) | undefined;
}

/** A connection over a descriptor: who reads it changes, from the handshake to a relay. */
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

  /** As `Stream` takes it. */
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
      // What was given to a relay or `closeGracefully` and not sent to its end is cut, and has to look cut.
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

  /** From now on `connection`, made of the detached stream, takes its place. */
  succeededBy(connection: Connection): void {
    this.#successor = connection;
  }

  /** From now on everything is the taker's business. Gives what was read too early, and what is not sent yet. */
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

  /** When everything has come to rest: sends what was written, and reports that the peer has gone. */
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

  /** To the reader who waits. */
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
    // Nothing more will happen: if nobody reads on, somebody has to be told.
    if (this.over && count > 0) this.loop.soon(this);
  }

  /** Sends what was written, as far as there is room. */
  #flush(talk: HandshakeBuffers): void {
    const { out } = talk;
    if (out === undefined) return;
    const sent = this.send(out);
    talk.out = sent === FAILED || sent === out.length ? undefined : out.subarray(sent);
    if (sent === FAILED) this.#fail(talk);
  }

  /** The connection is gone; what came before that can still be read. */
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
