import { seenFrom, zoneOf } from '../../wire/ip.ts';
import { MAX_DATAGRAM, UDP_HEADROOM } from '../engine.ts';
import type { Peer, UdpEvents, UdpSocket } from '../engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import {
  AF_INET,
  AF_INET6,
  EPOLLERR,
  EPOLLET,
  EPOLLIN,
  IP_RECVERR,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_RECVERR,
  IPV6_V6ONLY,
  MSG_DONTWAIT,
  NONBLOCK_CLOEXEC,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_DGRAM,
  SOL_SOCKET,
} from '../../sys/constants.ts';
import { takeErrors } from '../../sys/error-queue.ts';
import { EAGAIN, errorName } from '../../sys/errors.ts';
import { errno, libc } from '../../sys/libc.ts';
import { bytes as memory, reserve } from '../../sys/memory.ts';
import { BATCH, Messages } from '../../sys/messages.ts';
import {
  decodeSockaddr,
  encodeSockaddr,
  isSockaddr,
  SOCKADDR_OFFSET,
  sockaddrWords,
} from '../../sys/sockaddr.ts';
import { bindTo, checked, lacksDevice, localOf, setOption } from '../../sys/socket.ts';
import type { Loop, Task, Watcher } from './loop.ts';
import { Outbox } from './outbox.ts';

/** Batches of a socket per turn. */
const BATCHES = 8;
/** Bytes that can wait in the kernel, in either direction: room for a burst. */
const BUFFER_SIZE = 1024 * 1024;
/** Bytes between the starts of two datagrams of a batch. */
const STRIDE = (UDP_HEADROOM + MAX_DATAGRAM + 63) & ~63;

class Datagrams {
  readonly arrivals: Messages = new Messages();
  readonly outbox: Outbox = new Outbox();
  readonly #arena = reserve(BATCH * STRIDE);

  constructor() {
    for (let i = 0; i < BATCH; i++) this.arrivals.setData(i, this.start(i), MAX_DATAGRAM);
  }

  /** The start of an incoming datagram, with room in front. */
  start(i: number): number {
    return this.#arena + i * STRIDE + UDP_HEADROOM;
  }
}

/** The buffers for datagrams of all sockets; untouched pages take no memory. */
const datagrams = new Datagrams();

class FastPeer implements Peer {
  readonly host: string;
  readonly port: number;
  readonly key: string;
  readonly sockaddr: readonly number[];

  constructor({ host, port }: Endpoint, sockaddr: readonly number[]) {
    this.host = host;
    this.port = port;
    this.key = `${host} ${port}`;
    this.sockaddr = sockaddr;
  }
}

export function bindUdp(loop: Loop, at: Endpoint, events: UdpEvents): UdpSocket {
  const family = at.host.includes(':') ? AF_INET6 : AF_INET;
  const fd = checked(libc.socket(family, SOCK_DGRAM | NONBLOCK_CLOEXEC, 0), 'socket');
  try {
    if (family === AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    setOption(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_SIZE);
    setOption(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_SIZE);
    // Without it, an unconnected socket does not receive ICMP errors.
    if (family === AF_INET) setOption(fd, IPPROTO_IP, IP_RECVERR, 1);
    else setOption(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    bindTo(fd, at, 'bind');
    return new FastUdpSocket(loop, fd, events, zoneOf(at.host) !== undefined);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

class FastUdpSocket implements UdpSocket, Watcher, Task {
  readonly local: Endpoint;
  readonly #loop: Loop;
  readonly #events: UdpEvents;
  readonly #slot: number;
  /** Whether it is bound to one interface. */
  readonly #stays: boolean;
  #fd: number;
  /** Batches waiting for their turn. */
  #queued = 0;
  /** Most datagrams have the same sender as the previous one. */
  #last: FastPeer | undefined;

  constructor(loop: Loop, fd: number, events: UdpEvents, stays: boolean) {
    this.#loop = loop;
    this.#fd = fd;
    this.#events = events;
    this.#stays = stays;
    this.local = localOf(fd);
    this.#slot = loop.add(fd, EPOLLIN | EPOLLET, this);
  }

  peer({ host, port }: Endpoint): Peer {
    return peerOf({ host: seenFrom(this.local.host, host), port });
  }

  send(buffer: Uint8Array, start: number, end: number, to: Peer): void {
    if (this.#fd < 0) return;
    // Does not fit into the outbox: a reassembled datagram can be that large with the headers of upstreams.
    if (end - start > MAX_DATAGRAM) return this.#events.failed('EMSGSIZE');
    const { sockaddr } = to instanceof FastPeer ? to : peerOf(to);
    datagrams.outbox.send(this, buffer, start, end, sockaddr);
  }

  close(): void {
    if (this.#fd < 0) return;
    datagrams.outbox.flush();
    this.#loop.release(this.#slot);
    libc.close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  ready(events: number): void {
    if ((events & EPOLLERR) !== 0) this.#takeErrors();
    this.#takeBatch();
  }

  run(): void {
    this.#queued--;
    this.#takeBatch();
  }

  #takeBatch(): void {
    let [count, code] = this.#receive();
    if (count < 0 && code !== EAGAIN) {
      // The cause may be an earlier datagram: try once more.
      this.#takeErrors();
      [count, code] = this.#receive();
    }
    if (count >= 0) datagrams.outbox.gather(() => this.#handOut(count));
    else if (code !== EAGAIN) this.#events.failed(errorName(code));
    // Batch by batch, so that a decision on the first datagram is made before too many wait for it.
    if (count < BATCH || this.#queued === BATCHES) return;
    this.#queued++;
    this.#loop.later(this);
  }

  /** Called by the outbox. A datagram that cannot be sent is reported and dropped. */
  sendAll(messages: Messages, count: number): void {
    let next = 0;
    let again = true;
    while (next < count && this.#fd >= 0) {
      const sent = libc.sendmmsg(this.#fd, messages.at(next), count - next, MSG_DONTWAIT);
      const code = sent < 0 ? errno() : 0;
      // The cause may be an earlier datagram: try once more.
      if (sent < 0 && again && this.#takeErrors()) {
        again = false;
        continue;
      }
      if (sent < 0) this.#events.failed(this.#stays && lacksDevice(this.#fd) ? 'ENODEV' : errorName(code));
      next += Math.max(sent, 1);
      again = true;
    }
  }

  /** The number of datagrams received, or the error. */
  #receive(): readonly [count: number, code: number] {
    if (this.#fd < 0) return [0, 0];
    for (let i = 0; i < BATCH; i++) datagrams.arrivals.expectName(i);
    const count = libc.recvmmsg(this.#fd, datagrams.arrivals.at(0), BATCH, MSG_DONTWAIT, 0);
    return [count, count < 0 ? errno() : 0];
  }

  #handOut(count: number): void {
    const { arrivals } = datagrams;
    for (let i = 0; i < count && this.#fd >= 0; i++) {
      const start = datagrams.start(i);
      const from = this.#from(arrivals.name(i));
      this.#events.received(memory, start, start + arrivals.length(i), from);
    }
  }

  #from(at: number): FastPeer {
    if (this.#last === undefined || !isSockaddr(this.#last.sockaddr, at)) {
      this.#last = new FastPeer(decodeSockaddr(at), sockaddrWords(at));
    }
    return this.#last;
  }

  /** Reports ICMP errors; returns whether there were any. */
  #takeErrors(): boolean {
    const codes = takeErrors(this.#fd);
    for (const code of codes) this.#events.failed(errorName(code));
    return codes.length > 0;
  }
}

function peerOf(to: Endpoint): FastPeer {
  encodeSockaddr(to);
  return new FastPeer(decodeSockaddr(SOCKADDR_OFFSET), sockaddrWords(SOCKADDR_OFFSET));
}
