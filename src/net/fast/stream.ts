import {
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  MSG_MORE,
  SHUT_WR,
} from '../sys/constants.ts';
import { EAGAIN, systemError } from '../sys/errors.ts';
import { errno, libc } from '../sys/libc.ts';
import { addressOf, bytes as memory, reserve } from '../sys/memory.ts';
import type { Loop } from './loop.ts';
import { resetOnClose, setKeepAlive, setNoDelay } from './socket.ts';

export const COPY_SIZE = 65_536;
/** Where bytes pass through, those of one stream at a time. */
export const copy: number = reserve(COPY_SIZE);
export const COPY_ADDRESS: number = addressOf(copy);

const WATCH_READ: number = EPOLLIN | EPOLLRDHUP | EPOLLET;
export const WATCH_BOTH: number = WATCH_READ | EPOLLOUT;

/** Outcomes of `take` and `give` beside a number of bytes: not now, and never again. */
export const WAIT = -1;
export const FAILED = -2;

/**
 * A descriptor with bytes both ways. The kernel tells once when there is something to read or room to write; that is noted, and
 * stays true until a call has found the opposite.
 */
export abstract class Stream {
  readonly loop: Loop;
  /** -1 when it is closed. */
  fd: number;
  readable = false;
  writable = true;
  /** The peer has ended its direction or is gone: what it has sent may still be unread. */
  over = false;
  /** It has failed: what reads still give may be cut. */
  broken = false;
  /** The end of our direction is sent. */
  shut = false;
  error: Error | undefined;
  readonly #slot: number;
  #watched: number;
  /**
   * Accepted connections inherit both from their listener. One that was dialled gets each when it begins to matter: many end
   * before, and a call costs as much as a small read.
   */
  #noDelay: boolean;
  #keepAlive: boolean;

  /** `slot` when the descriptor is in the set already. Throws a system error when the set takes no more. */
  constructor(loop: Loop, fd: number, slot?: number) {
    this.loop = loop;
    this.fd = fd;
    this.#watched = slot === undefined ? WATCH_READ : WATCH_BOTH;
    this.#slot = slot ?? loop.add(fd, WATCH_READ, this);
    this.#noDelay = slot === undefined;
    this.#keepAlive = slot === undefined;
    if (slot !== undefined) loop.replace(slot, this);
  }

  /** From the loop. */
  ready(events: number): void {
    if ((events & ~EPOLLOUT) !== 0) this.readable = true;
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) !== 0) this.writable = true;
    if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) !== 0) this.over = true;
    if ((events & EPOLLERR) !== 0) this.broken = true;
    this.changed(events);
  }

  /** From now on the kernel sends at once what it is given. */
  sendAtOnce(): void {
    if (this.#noDelay) return;
    this.#noDelay = true;
    setNoDelay(this.fd);
  }

  /** From now on the kernel asks a silent peer whether it is still there. */
  keepAlive(): void {
    if (this.#keepAlive || this.fd < 0) return;
    this.#keepAlive = true;
    setKeepAlive(this.fd);
  }

  /** What happened is noted. */
  abstract changed(events: number): void;

  /** Reads up to `size` bytes to an address. 0 at the end of the peer's direction; WAIT; FAILED, and `error` says why. */
  take(address: number, size: number): number {
    const count = libc.read(this.fd, address, size);
    if (count < 0) return this.refused('read', errno());
    // Less than there was room for is all there was; the kernel tells when there is more.
    if (count < size && !this.over) this.readable = false;
    return count;
  }

  /** After reads of `size` bytes have given `count`: whether the end of the peer's direction is all that is left. */
  isAllRead(count: number, size: number): boolean {
    return count < size && this.over && !this.broken;
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
      memory.set(size === bytes.length ? bytes : bytes.subarray(sent, sent + size), copy);
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
    if (syscall === 'read') this.readable = false;
    else this.#awaitRoom();
    return WAIT;
  }

  /** Ends our direction. */
  shutdown(): void {
    libc.shutdown(this.fd, SHUT_WR);
    this.shut = true;
  }

  close(): void {
    if (this.fd < 0) return;
    this.loop.release(this.#slot);
    libc.close(this.fd);
    this.fd = -1;
  }

  /** The descriptor, for whoever goes on with it. */
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

  #awaitRoom(): void {
    this.writable = false;
    if (this.#watched === WATCH_BOTH) return;
    // An accepted connection is watched for room only once there was none: few ever are.
    this.#watched = WATCH_BOTH;
    this.loop.change(this.#slot, this.fd, WATCH_BOTH);
  }
}
