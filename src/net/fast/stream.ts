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
/** A buffer for bytes in transit, of one stream at a time. */
export const copyBuffer: number = reserve(COPY_SIZE);
export const COPY_ADDRESS: number = addressOf(copyBuffer);

const WATCH_READ: number = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET;
export const WATCH_BOTH: number = WATCH_READ | EPOLLOUT;

/** Results of `take` and `give` other than a byte count: try later, and failed for good. */
export const WAIT = -1;
export const FAILED = -2;

/** The state of a stream, as bits of one number: every connection has two streams, and most are idle. */
const READABLE = 1;
const WRITABLE = 2;
const OVER = 4;
const BROKEN = 8;
const SHUT = 16;
/** Options that were set on the descriptor. */
const NO_DELAY = 32;
const KEEP_ALIVE = 64;
const ROOM = 128;
/**
 * A read may return less than is available: up to an urgent byte or, on a unix socket, up to data sent with a
 * descriptor.
 */
const MARKED = 256;
/** There is or was an urgent byte, which splice(2) cannot pass. */
const URGENT = 512;

/**
 * A descriptor for reading and writing. The kernel reports once when there is something to read or room to
 * write; this is recorded as true until a call shows otherwise.
 */
export abstract class Stream {
  readonly loop: Loop;
  /** -1 when closed. */
  fd: number;
  error: Error | undefined;
  readonly #slot: number;
  #known: number;

  /** `slot`: given when the descriptor is already in the set. Throws a system error when the set is full. */
  constructor(loop: Loop, fd: number, slot?: number) {
    this.loop = loop;
    this.fd = fd;
    this.#slot = slot ?? loop.add(fd, WATCH_READ, this);
    // Accepted connections inherit both options from their listener. A dialled one gets each only when it
    // begins to matter: many end before that, and the call costs as much as a small read.
    this.#known = WRITABLE | (slot === undefined ? NO_DELAY | KEEP_ALIVE : ROOM);
    if (slot !== undefined) loop.replace(slot, this);
  }

  get readable(): boolean {
    return this.#knows(READABLE);
  }

  get writable(): boolean {
    return this.#knows(WRITABLE);
  }

  /** The peer has ended its direction or is gone; there may be unread data. */
  get over(): boolean {
    return this.#knows(OVER);
  }

  /** The connection has failed: only data that was read before is valid. */
  get broken(): boolean {
    return this.#knows(BROKEN);
  }

  /** Whether splice(2) can read all of the data. */
  get spliceable(): boolean {
    return !this.#knows(URGENT);
  }

  /** Our end of stream has been sent. */
  get shut(): boolean {
    return this.#knows(SHUT);
  }

  /** Called by the loop. */
  ready(events: number): void {
    if ((events & ~EPOLLOUT) !== 0) this.#known |= READABLE;
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) !== 0) this.#known |= WRITABLE;
    if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) !== 0) this.#known |= OVER;
    if ((events & EPOLLPRI) !== 0) this.#known |= MARKED | URGENT;
    // Reads may return truncated data.
    if ((events & EPOLLERR) !== 0) this.#known |= BROKEN;
    this.changed(events);
  }

  /** For a unix socket. */
  expectMarks(): void {
    this.#known |= MARKED;
  }

  /** Makes the kernel send everything without delay from now on. */
  sendAtOnce(): void {
    if (this.#knows(NO_DELAY)) return;
    this.#known |= NO_DELAY;
    setNoDelay(this.fd);
  }

  /** Makes the kernel probe a silent peer from now on. */
  keepAlive(): void {
    if (this.#knows(KEEP_ALIVE) || this.fd < 0) return;
    this.#known |= KEEP_ALIVE;
    setKeepAlive(this.fd);
  }

  /** Called after events are recorded. */
  abstract changed(events: number): void;

  /**
   * Reads up to `size` bytes to an address. Returns 0 at the end of the peer's direction; WAIT; or FAILED,
   * with the reason in `error`.
   */
  take(address: number, size: number): number {
    const count = libc.read(this.fd, address, size);
    if (count < 0) return this.refused('read', errno());
    // A short read means that nothing is left; the kernel reports when there is more.
    if (count < size && !this.#knows(OVER | MARKED)) this.#known &= ~READABLE;
    return count;
  }

  /** After a read of `size` bytes returned `count`: whether only the end of the peer's direction is left. */
  isAllRead(count: number, size: number): boolean {
    return count < size && this.over && !this.#knows(BROKEN | MARKED);
  }

  /**
   * Sends up to `size` bytes from an address. Returns the count, WAIT, or FAILED. `last`: the end of stream
   * follows at once, and is sent with them.
   */
  give(address: number, size: number, last = false): number {
    this.sendAtOnce();
    const count = last ? libc.send(this.fd, address, size, MSG_MORE) : libc.write(this.fd, address, size);
    if (count < 0) return this.refused('write', errno());
    if (count < size) this.#awaitRoom();
    return count;
  }

  /** Sends bytes from any array while there is room. Returns the count, or FAILED. */
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

  /** Interprets a failed call on this connection: WAIT or FAILED. */
  refused(syscall: 'read' | 'write', code: number): number {
    if (code !== EAGAIN) {
      this.error ??= systemError(code, syscall);
      return FAILED;
    }
    if (syscall === 'read') this.#known &= ~READABLE;
    else this.#awaitRoom();
    return WAIT;
  }

  /** Interprets an empty splice(2): 0 at the end of the peer's direction, otherwise WAIT. */
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

  /** Releases the descriptor to its next owner. */
  giveAway(): number {
    const { fd } = this;
    this.loop.remove(this.#slot, fd);
    this.fd = -1;
    return fd;
  }

  /** Closes so that a truncated stream does not look complete. */
  reset(): void {
    // A stream that was sent to its end is complete: the kernel delivers the rest.
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
    // An accepted connection is watched for room only after it ran out: few ever do.
    this.#known |= ROOM;
    this.loop.change(this.#slot, this.fd, WATCH_BOTH);
  }
}
