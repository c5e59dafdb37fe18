import {
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDHUP,
  MSG_MORE,
  SHUT_WR,
} from '../../sys/constants.ts';
import { EAGAIN, systemError } from '../../sys/errors.ts';
import { errno, libc } from '../../sys/libc.ts';
import { addressOf, bytes as memory, reserve } from '../../sys/memory.ts';
import { resetOnClose, setKeepAlive, setNoDelay } from '../../sys/socket.ts';
import type { Loop } from './loop.ts';

export const COPY_SIZE = 65_536;
/** Where bytes pass through, those of one stream at a time. */
export const copyBuffer: number = reserve(COPY_SIZE);
export const COPY_ADDRESS: number = addressOf(copyBuffer);

const WATCH_READ: number = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET;
export const WATCH_BOTH: number = WATCH_READ | EPOLLOUT;

/** Outcomes of `take` and `give` beside a number of bytes: not now, and never again. */
export const WAIT = -1;
export const FAILED = -2;

/** What is known of a stream, in bits of one number: there are two streams for each connection, and mostly they rest. */
const READABLE = 1;
const WRITABLE = 2;
const OVER = 4;
const BROKEN = 8;
const SHUT = 16;
/** What the kernel was asked for. */
const NO_DELAY = 32;
const KEEP_ALIVE = 64;
const ROOM = 128;
/** A read may stop short of what there is: at an urgent byte or, on a unix socket, behind what came with a descriptor. */
const MARKED = 256;
/** There is an urgent byte, or was: splice(2) does not get past it. */
const URGENT = 512;

/**
 * A descriptor with bytes both ways. The kernel tells once when there is something to read or room to write; that is noted, and
 * stays true until a call has found the opposite.
 */
export abstract class Stream {
  readonly loop: Loop;
  /** -1 when it is closed. */
  fd: number;
  error: Error | undefined;
  readonly #slot: number;
  #known: number;

  /** `slot` when the descriptor is in the set already. Throws a system error when the set takes no more. */
  constructor(loop: Loop, fd: number, slot?: number) {
    this.loop = loop;
    this.fd = fd;
    this.#slot = slot ?? loop.add(fd, WATCH_READ, this);
    // Accepted connections inherit both options from their listener. One that was dialled gets each when it begins to matter:
    // many end before, and a call costs as much as a small read.
    this.#known = WRITABLE | (slot === undefined ? NO_DELAY | KEEP_ALIVE : ROOM);
    if (slot !== undefined) loop.replace(slot, this);
  }

  get readable(): boolean {
    return this.#knows(READABLE);
  }

  get writable(): boolean {
    return this.#knows(WRITABLE);
  }

  /** The peer has ended its direction or is gone: what it has sent may still be unread. */
  get over(): boolean {
    return this.#knows(OVER);
  }

  /** The connection has failed: what was read of it before is all there is. */
  get broken(): boolean {
    return this.#knows(BROKEN);
  }

  /** Whether splice(2) gets at all of it. */
  get spliceable(): boolean {
    return !this.#knows(URGENT);
  }

  /** The end of our direction is sent. */
  get shut(): boolean {
    return this.#knows(SHUT);
  }

  /** From the loop. */
  ready(events: number): void {
    if ((events & ~EPOLLOUT) !== 0) this.#known |= READABLE;
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) !== 0) this.#known |= WRITABLE;
    if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) !== 0) this.#known |= OVER;
    if ((events & EPOLLPRI) !== 0) this.#known |= MARKED | URGENT;
    // What reads still give may be cut.
    if ((events & EPOLLERR) !== 0) this.#known |= BROKEN;
    this.changed(events);
  }

  /** For a unix socket. */
  expectMarks(): void {
    this.#known |= MARKED;
  }

  /** From now on the kernel sends at once what it is given. */
  sendAtOnce(): void {
    if (this.#knows(NO_DELAY)) return;
    this.#known |= NO_DELAY;
    setNoDelay(this.fd);
  }

  /** From now on the kernel asks a silent peer whether it is still there. */
  keepAlive(): void {
    if (this.#knows(KEEP_ALIVE) || this.fd < 0) return;
    this.#known |= KEEP_ALIVE;
    setKeepAlive(this.fd);
  }

  /** What happened is noted. */
  abstract changed(events: number): void;

  /** Reads up to `size` bytes to an address. 0 at the end of the peer's direction; WAIT; FAILED, and `error` says why. */
  take(address: number, size: number): number {
    const count = libc.read(this.fd, address, size);
    if (count < 0) return this.refused('read', errno());
    // Less than there was room for is all there was; the kernel tells when there is more.
    if (count < size && !this.#knows(OVER | MARKED)) this.#known &= ~READABLE;
    return count;
  }

  /** After reads of `size` bytes have given `count`: whether the end of the peer's direction is all that is left. */
  isAllRead(count: number, size: number): boolean {
    return count < size && this.over && !this.#knows(BROKEN | MARKED);
  }

  /** Sends up to `size` bytes from an address: how many; WAIT; FAILED. `last` when the end follows at once: then it goes with them. */
  give(address: number, size: number, last = false): number {
    this.sendAtOnce();
    const count = last ? libc.send(this.fd, address, size, MSG_MORE) : libc.write(this.fd, address, size);
    if (count < 0) return this.refused('write', errno());
    if (count < size) this.#awaitRoom();
    return count;
  }

  /** Sends bytes from anywhere, as far as there is room: how many; FAILED. */
  send(bytes: Uint8Array): number {
    let sent = 0;
    while (sent < bytes.length && this.writable) {
      const size = Math.min(bytes.length - sent, COPY_SIZE);
      memory.set(size === bytes.length ? bytes : bytes.subarray(sent, sent + size), copyBuffer);
      const count = this.give(COPY_ADDRESS, size);
      if (count === FAILED) return FAILED;
      if (count > 0) sent += count;
    }
    return sent;
  }

  /** What it means that a call on this connection has failed: WAIT or FAILED. */
  refused(syscall: 'read' | 'write', code: number): number {
    if (code !== EAGAIN) {
      this.error ??= systemError(code, syscall);
      return FAILED;
    }
    if (syscall === 'read') this.#known &= ~READABLE;
    else this.#awaitRoom();
    return WAIT;
  }

  /** What it means that splice(2) gives nothing: 0 at the end of the peer's direction; WAIT. */
  splicedNone(): number {
    if (this.over) return 0;
    // An urgent byte before the end looks the same, until both are reported.
    this.#known &= ~READABLE;
    return WAIT;
  }

  /** Ends our direction. */
  shutdown(): void {
    libc.shutdown(this.fd, SHUT_WR);
    this.#known |= SHUT;
  }

  close(): void {
    if (this.fd < 0) return;
    this.loop.release(this.#slot);
    libc.close(this.fd);
    this.fd = -1;
  }

  /** The descriptor, for its next owner. */
  giveAway(): number {
    const { fd } = this;
    this.loop.remove(this.#slot, fd);
    this.fd = -1;
    return fd;
  }

  /** Closes so that the peer cannot take a cut stream for a whole one. */
  reset(): void {
    // A stream that was passed on to its end is whole: the kernel delivers the rest of it.
    if (this.fd >= 0 && !this.shut) resetOnClose(this.fd);
    this.close();
  }

  failure(): Error {
    return this.error ?? systemError('ECONNABORTED', 'read');
  }

  #knows(bits: number): boolean {
    return (this.#known & bits) !== 0;
  }

  #awaitRoom(): void {
    this.#known &= ~WRITABLE;
    if (this.#knows(ROOM)) return;
    // An accepted connection is watched for room only once there was none: few ever are.
    this.#known |= ROOM;
    this.loop.change(this.#slot, this.fd, WATCH_BOTH);
  }
}
