import { seenFrom } from '../../wire/ip.ts';
import type { Connection, ConnectOptions, UnixPath } from '../engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import { connectError } from '../source.ts';
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  EPOLLERR,
  EPOLLHUP,
  IP_BIND_ADDRESS_NO_PORT,
  IPPROTO_IP,
  NONBLOCK_CLOEXEC,
  SOCK_STREAM,
} from '../../sys/constants.ts';
import { EINPROGRESS, errorName } from '../../sys/errors.ts';
import { errno, libc } from '../../sys/libc.ts';
import { encodePath, encodeSockaddr, SOCKADDR } from '../../sys/sockaddr.ts';
import { bindTo, checked, localOf, setOption, takeError } from '../../sys/socket.ts';
import { HERE } from '../unix.ts';
import { FastConnection } from './connection.ts';
import type { Loop, Watcher } from './loop.ts';
import { WATCH_BOTH } from './stream.ts';

export function dial(loop: Loop, to: Endpoint | UnixPath, options: ConnectOptions): Promise<Connection> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    new Dialling(loop, to, options, resolve, reject).watch();
  });
}

function begin(to: Endpoint | UnixPath, from: string | undefined): number {
  const fd = checked(libc.socket(socketFamily(to), SOCK_STREAM | NONBLOCK_CLOEXEC, 0), 'socket');
  try {
    if (from !== undefined && 'host' in to) comeFrom(fd, from);
    const size = 'host' in to ? encodeSockaddr(to) : encodePath(to.path);
    const done = libc.connect(fd, SOCKADDR, size) === 0;
    const code = done ? EINPROGRESS : errno();
    if (code !== EINPROGRESS) throw connectError(errorName(code), to);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function socketFamily(to: Endpoint | UnixPath): number {
  if ('path' in to) return AF_UNIX;
  return to.host.includes(':') ? AF_INET6 : AF_INET;
}

/** Most addresses need no zone. */
function asSeenFrom(local: Endpoint, to: Endpoint): Endpoint {
  const host = seenFrom(local.host, to.host);
  return host === to.host ? to : { host, port: to.port };
}

function comeFrom(fd: number, from: string): void {
  // The kernel chooses the port when the destination is known, so that it can be shared between destinations.
  setOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  bindTo(fd, { host: from, port: 0 }, 'bind');
}

/** A connection being established. */
class Dialling implements Watcher {
  readonly #loop: Loop;
  readonly #fd: number;
  readonly #to: Endpoint | UnixPath;
  readonly #options: ConnectOptions;
  readonly #resolve: (connection: Connection) => void;
  readonly #reject: (reason: unknown) => void;
  #slot = -1;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    loop: Loop,
    to: Endpoint | UnixPath,
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
    const to = this.#to;
    const isTcp = 'host' in to;
    const local = isTcp ? localOf(this.#fd) : HERE;
    const remote = isTcp ? asSeenFrom(local, to) : HERE;
    const connection = new FastConnection(this.#loop, this.#fd, local, remote, this.#slot);
    if (!isTcp) connection.expectMarks();
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
