import { MAX_DATAGRAM } from '../engine.ts';
import { bytes, reserve } from '../../sys/memory.ts';
import { BATCH, Messages } from '../../sys/messages.ts';

export interface Sender {
  /** Sends the first `count` messages in the outbox. */
  sendAll(messages: Messages, count: number): void;
}

/**
 * Outgoing datagrams. Those still in the buffer that they arrived in are collected and sent with one call.
 */
export class Outbox {
  readonly #messages = new Messages();
  readonly #single = reserve(MAX_DATAGRAM);
  #sender: Sender | undefined;
  #waiting = 0;
  #gathers = false;

  /**
   * While `hand` runs, datagrams sent from that buffer are only recorded; they are sent before this returns.
   */
  gather(hand: () => void): void {
    this.#gathers = true;
    try {
      hand();
    } finally {
      this.#gathers = false;
      this.flush();
    }
  }

  send(sender: Sender, buffer: Uint8Array, start: number, end: number, sockaddr: readonly number[]): void {
    const waits = this.#gathers && buffer === bytes;
    if (this.#sender !== sender || this.#waiting === BATCH || !waits) this.flush();
    if (!waits) bytes.set(buffer.subarray(start, end), this.#single);
    this.#messages.setData(this.#waiting, waits ? start : this.#single, end - start);
    this.#messages.setName(this.#waiting, sockaddr);
    this.#sender = sender;
    this.#waiting++;
    if (!waits) this.flush();
  }

  flush(): void {
    const [sender, count] = [this.#sender, this.#waiting];
    this.#sender = undefined;
    this.#waiting = 0;
    sender?.sendAll(this.#messages, count);
  }
}
