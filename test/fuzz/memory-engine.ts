import { UDP_HEADROOM } from '../../src/net/engine.ts';
import type { Peer, UdpEvents, UdpSocket } from '../../src/net/engine.ts';
import type { Endpoint } from '../../src/wire/address.ts';

/** A datagram that a socket was told to send. */
export interface SentDatagram {
  readonly from: MemorySocket;
  readonly to: Peer;
  readonly data: Uint8Array;
}

/** The UDP half of an engine without a network: it keeps what is sent, and what arrives is said by `deliver`. */
export class MemoryEngine {
  readonly sockets: MemorySocket[] = [];
  readonly sent: SentDatagram[] = [];
  /** No more sockets can be opened. */
  isExhausted = false;

  async udp({ host, port }: Endpoint, events: UdpEvents): Promise<UdpSocket> {
    if (this.isExhausted) throw Object.assign(new Error('no descriptors'), { code: 'EMFILE' });
    const local = { host, port: port === 0 ? 40_000 + this.sockets.length : port };
    const socket = new MemorySocket(local, events, this.sent);
    this.sockets.push(socket);
    return socket;
  }
}

export class MemorySocket implements UdpSocket {
  readonly local: Endpoint;
  isClosed = false;
  readonly #events: UdpEvents;
  readonly #sent: SentDatagram[];

  constructor(local: Endpoint, events: UdpEvents, sent: SentDatagram[]) {
    this.local = local;
    this.#events = events;
    this.#sent = sent;
  }

  peer({ host, port }: Endpoint): Peer {
    return { host, port, key: `${host} ${port}` };
  }

  send(buffer: Uint8Array, start: number, end: number, to: Peer): void {
    if (this.isClosed) throw new Error('sent on a closed socket');
    this.#sent.push({ from: this, to, data: buffer.slice(start, end) });
  }

  close(): void {
    this.isClosed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** A datagram arrives, in a buffer that is used again. */
  deliver(data: Uint8Array, from: Endpoint): void {
    if (this.isClosed) return;
    const buffer = new Uint8Array(UDP_HEADROOM + data.length + 8).fill(0xee);
    buffer.set(data, UDP_HEADROOM);
    this.#events.received(buffer, UDP_HEADROOM, UDP_HEADROOM + data.length, this.peer(from));
    buffer.fill(0xdd);
  }
}
