import { addressOf, int32, reserve } from './memory.ts';

/** Datagrams per call. */
export const BATCH = 32;

/** Bytes of the longest address, struct sockaddr_in6, and the distance between two addresses. */
const NAME = 28;
const NAMES = 32;
// struct mmsghdr on 64 bits, in words: a struct msghdr, and the length of a received datagram.
const MMSGHDR = 16;
const MSG_NAME = 0;
const MSG_NAMELEN = 2;
const MSG_IOV = 4;
const MSG_IOVLEN = 6;
const MSG_LEN = 14;
// struct iovec, in words.
const IOVEC = 4;
const IOV_BASE = 0;
const IOV_LEN = 2;

/** Headers for a batch: struct mmsghdr, each with one address and one piece of data. */
export class Messages {
  readonly #headers = reserve(BATCH * MMSGHDR * 4);
  readonly #pieces = reserve(BATCH * IOVEC * 4);
  readonly #names = reserve(BATCH * NAMES);

  constructor() {
    for (let i = 0; i < BATCH; i++) {
      const header = this.#header(i);
      int32[header + MSG_NAME] = addressOf(this.name(i));
      int32[header + MSG_IOV] = addressOf(this.#pieces) + i * IOVEC * 4;
      int32[header + MSG_IOVLEN] = 1;
    }
  }

  /** The address of a header and all that follow. */
  at(i: number): number {
    return addressOf(this.#headers) + i * MMSGHDR * 4;
  }

  /** The offset of a datagram's address. */
  name(i: number): number {
    return this.#names + i * NAMES;
  }

  /** Sets the offset of a datagram or its buffer, and the size. */
  setData(i: number, offset: number, size: number): void {
    const piece = (this.#pieces >> 2) + i * IOVEC;
    int32[piece + IOV_BASE] = addressOf(offset);
    int32[piece + IOV_LEN] = size;
  }

  /** Sets the destination. */
  setName(i: number, sockaddr: readonly number[]): void {
    const name = this.name(i) >> 2;
    for (let word = 0; word < sockaddr.length; word++) int32[name + word] = sockaddr[word]!;
    int32[this.#header(i) + MSG_NAMELEN] = sockaddr.length * 4;
  }

  /** Call it before receiving: makes room for any address. */
  expectName(i: number): void {
    int32[this.#header(i) + MSG_NAMELEN] = NAME;
  }

  /** Bytes received. */
  length(i: number): number {
    return int32[this.#header(i) + MSG_LEN]!;
  }

  #header(i: number): number {
    return (this.#headers >> 2) + i * MMSGHDR;
  }
}
