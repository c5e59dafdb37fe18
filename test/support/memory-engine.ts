import { withTimeout } from '../../src/limits/timeout.ts';
import { UDP_HEADROOM } from '../../src/net/engine.ts';
import type {
  Connection,
  ConnectOptions,
  Engine,
  ListenAt,
  Listener,
  Peer,
  Relay,
  RelayOptions,
  RelayOwner,
  Signal,
  UdpEvents,
  UdpSocket,
  UnixPath,
} from '../../src/net/engine.ts';
import type { Endpoint } from '../../src/wire/address.ts';
import { familyOf, isWildcard } from '../../src/wire/ip.ts';
import { failure, MemoryConnection, MemoryRelay } from './memory-connection.ts';

/** A datagram sent by a socket. */
export interface SentDatagram {
  readonly from: MemorySocket;
  readonly to: Peer;
  readonly data: Uint8Array;
}

/**
 * An engine without an operating system, and the network around it: its connections and listeners connect to
 * each other. It records sent datagrams; `deliver` simulates received ones. It has no clock, except for the
 * time-out of `connect`.
 */
export class MemoryEngine implements Engine {
  readonly name = 'portable';
  readonly sharesListeners = false;
  readonly sockets: MemorySocket[] = [];
  readonly sent: SentDatagram[] = [];
  /** Whether no more sockets can be opened. */
  isExhausted = false;
  /** Hosts that do not answer. */
  readonly silent: Set<string> = new Set<string>();
  /** All listeners, including closed ones. */
  readonly listeners: MemoryListener[] = [];
  /** All relays, including ended ones. */
  readonly relays: MemoryRelay[] = [];
  #lastPort = 40_000;

  deviceFault(): string | undefined {
    return 'needs an operating system';
  }

  async listen(at: ListenAt, accepted: (connection: Connection) => void): Promise<Listener> {
    if (!('host' in at)) throw new Error('there are only addresses here');
    if (this.isExhausted) throw failure('EMFILE');
    const local = { host: at.host, port: at.port === 0 ? ++this.#lastPort : at.port };
    if (this.#listenerAt(local) !== undefined) throw failure('EADDRINUSE');
    const listener = new MemoryListener(local, accepted);
    this.listeners.push(listener);
    return listener;
  }

  async connect(
    to: Endpoint | UnixPath,
    { from, fromPort = ++this.#lastPort, timeout, signal }: MemoryConnectOptions,
  ): Promise<MemoryConnection> {
    if (!('host' in to)) throw failure('ENOENT');
    signal?.throwIfAborted();
    if (this.silent.has(to.host)) await silence(timeout, signal);
    const listener = this.#listenerAt(to);
    if (listener === undefined) throw failure('ECONNREFUSED');
    const [near, far] = MemoryConnection.pair(
      { host: from ?? HERE[familyOf(to.host)], port: fromPort },
      { ...to },
    );
    listener.accepted(far);
    return near;
  }

  relay(client: Connection, target: Connection, options: RelayOptions, owner: RelayOwner): Relay {
    const relay = new MemoryRelay(client as MemoryConnection, target as MemoryConnection, options, owner);
    this.relays.push(relay);
    return relay;
  }

  async udp({ host, port }: Endpoint, events: UdpEvents): Promise<UdpSocket> {
    if (this.isExhausted) throw failure('EMFILE');
    const local = { host, port: port === 0 ? 40_000 + this.sockets.length : port };
    const socket = new MemorySocket(local, events, this.sent);
    this.sockets.push(socket);
    return socket;
  }

  adopt(): Connection {
    throw new Error('there are no streams here');
  }

  #listenerAt({ host, port }: Endpoint): MemoryListener | undefined {
    return this.listeners.find(
      ({ local, isClosed }) =>
        !isClosed && local.port === port && (local.host === host || isWildcard(local.host)),
    );
  }
}

interface MemoryConnectOptions extends ConnectOptions {
  /** @default a free one */
  readonly fromPort?: number;
}

const HERE = { 4: '127.0.0.1', 6: '::1' } as const;

class MemoryListener implements Listener {
  readonly local: Endpoint;
  readonly accepted: (connection: Connection) => void;
  isClosed = false;

  constructor(local: Endpoint, accepted: (connection: Connection) => void) {
    this.local = local;
    this.accepted = accepted;
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Waits until the time-out, or until the signal aborts. */
async function silence(timeout: number, signal: Signal | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const aborted = (): void => reject(signal?.reason);
  signal?.addEventListener('abort', aborted);
  try {
    return await withTimeout(promise, timeout, () => {
      throw failure('ETIMEDOUT');
    });
  } finally {
    signal?.removeEventListener('abort', aborted);
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

  /** Simulates a received datagram, in a buffer that is reused. */
  deliver(data: Uint8Array, from: Endpoint): void {
    if (this.isClosed) return;
    const buffer = new Uint8Array(UDP_HEADROOM + data.length + 8).fill(0xee);
    buffer.set(data, UDP_HEADROOM);
    this.#events.received(buffer, UDP_HEADROOM, UDP_HEADROOM + data.length, this.peer(from));
    buffer.fill(0xdd);
  }
}
