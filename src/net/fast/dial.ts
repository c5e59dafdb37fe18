import type { Connection, ConnectOptions, Endpoint } from '../engine.ts';
import { connectError } from '../source.ts';
import {
  AF_INET,
  AF_INET6,
  EPOLLERR,
  EPOLLHUP,
  IP_BIND_ADDRESS_NO_PORT,
  IPPROTO_IP,
  NONBLOCK_CLOEXEC,
  SOCK_STREAM,
} from '../sys/constants.ts';
import { EINPROGRESS, errorName } from '../sys/errors.ts';
import { errno, libc } from '../sys/libc.ts';
import { encodeSockaddr, SOCKADDR } from '../sys/sockaddr.ts';
import { checked, localOf, setOption, takeError } from '../sys/socket.ts';
import { FastConnection } from './connection.ts';
import type { Loop, Watcher } from './loop.ts';
import { WATCH_BOTH } from './stream.ts';

export function dial(loop: Loop, to: Endpoint, options: ConnectOptions): Promise<Connection> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    new Dialling(loop, to, options, resolve, reject).watch();
  });
}

function begin(to: Endpoint, from: string | undefined): number {
  const family = to.host.includes(':') ? AF_INET6 : AF_INET;
  const fd = checked(libc.socket(family, SOCK_STREAM | NONBLOCK_CLOEXEC, 0), 'socket');
  try {
    if (from !== undefined) bindTo(fd, from);
    const done = libc.connect(fd, SOCKADDR, encodeSockaddr(to)) === 0;
    const code = done ? EINPROGRESS : errno();
    if (code !== EINPROGRESS) throw connectError(errorName(code), to);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function bindTo(fd: number, from: string): void {
  // The port is chosen when the destination is known: it may be in use for another.
  setOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  const size = encodeSockaddr({ host: from, port: 0 });
  checked(libc.bind(fd, SOCKADDR, size), 'bind', from);
}

/** A connection that is not there yet. */
class Dialling implements Watcher {
  readonly #loop: Loop;
  readonly #fd: number;
  readonly #to: Endpoint;
  readonly #options: ConnectOptions;
  readonly #resolve: (connection: Connection) => void;
  readonly #reject: (reason: unknown) => void;
  #slot = -1;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    loop: Loop,
    to: Endpoint,
    options: ConnectOptions,
    resolve: (connection: Connection) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#loop = loop;
    this.#fd = begin(to, options.from);
    this.#to = to;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  watch(): void {
    const { timeout, signal } = this.#options;
    try {
      this.#slot = this.#loop.add(this.#fd, WATCH_BOTH, this);
    } catch (error) {
      libc.close(this.#fd);
      throw error;
    }
    this.#timer = setTimeout(() => this.#fail(connectError('ETIMEDOUT', this.#to)), timeout);
    signal?.addEventListener('abort', this.#aborted);
  }

  ready(events: number): void {
    const code = (events & (EPOLLERR | EPOLLHUP)) === 0 ? 0 : takeError(this.#fd);
    if (code !== 0) {
      this.#fail(connectError(errorName(code), this.#to));
      return;
    }
    this.#settle();
    const local = localOf(this.#fd);
    const connection = new FastConnection(this.#loop, this.#fd, local, this.#to, this.#slot);
    connection.ready(events);
    this.#resolve(connection);
  }

  readonly #aborted = (): void => this.#fail(this.#options.signal?.reason);

  #fail(reason: unknown): void {
    this.#settle();
    this.#loop.release(this.#slot);
    libc.close(this.#fd);
    this.#reject(reason);
  }

  #settle(): void {
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#aborted);
  }
}
