import { rm } from 'node:fs/promises';
import { isWildcard } from '../../wire/ip.ts';
import type { Connection, ListenAt, Listener, UnixSocket } from '../engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  EPOLLEXCLUSIVE,
  EPOLLIN,
  F_GETFL,
  F_SETFL,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  NONBLOCK_CLOEXEC,
  O_NONBLOCK,
  SO_REUSEADDR,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../../sys/constants.ts';
import { EMFILE, ENFILE, ENOBUFS, ENOMEM, systemError } from '../../sys/errors.ts';
import { errno, libc } from '../../sys/libc.ts';
import {
  encodePath,
  expectSockaddr,
  familyOfSockaddr,
  pathOfSockaddr,
  SOCKADDR,
  SOCKADDR_LENGTH,
  decodeSockaddr,
} from '../../sys/sockaddr.ts';
import { bindTo, checked, localOf, setKeepAlive, setNoDelay, setOption } from '../../sys/socket.ts';
import { bindPath, HERE, withMode } from '../unix.ts';
import { FastConnection } from './connection.ts';
import type { Loop, Watcher } from './loop.ts';

const BACKLOG = 4096;
/** Connections accepted in one turn; fewer where other threads accept from the same listener. */
const BATCH = { alone: 64, together: 8 } as const;
/** Milliseconds without accepting when the system is out of descriptors or memory. */
const PAUSE = 100;
const EXHAUSTED: ReadonlySet<number> = new Set([EMFILE, ENFILE, ENOBUFS, ENOMEM]);

export async function listen(
  loop: Loop,
  at: ListenAt,
  accepted: (connection: Connection) => void,
  failed: (code: string) => void,
): Promise<Listener> {
  const listener = await openListener(at);
  try {
    const acceptor = new Acceptor(loop, listener, isShared(at), accepted, failed);
    const close = (): Promise<void> => {
      acceptor.close();
      return listener.close();
    };
    return { ...listener, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await listener.close();
    throw error;
  }
}

/** A listener that accepts nothing itself: its descriptor is for other threads. */
export async function openListener(at: ListenAt): Promise<Listener & { readonly fd: number }> {
  const fd = await open(at);
  const close = async (): Promise<void> => {
    if (!isShared(at)) libc.close(fd);
    if ('path' in at) await rm(at.path, { force: true });
  };
  try {
    const [local, path] = placeOf(fd);
    return { local, ...(path !== undefined && { path }), fd, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(at: ListenAt): Promise<number> {
  if ('fd' in at) return passed(at.fd);
  if ('path' in at) return bindPath(at, () => bindUnix(at));
  return bindTcp(at);
}

/** Accepts while it is open, and pauses while the system lacks resources. */
class Acceptor implements Watcher {
  readonly #loop: Loop;
  readonly #fd: number;
  readonly #shared: boolean;
  /**
   * The local address of every connection; `undefined` where it depends on the address that the client used.
   */
  readonly #local: Endpoint | undefined;
  readonly #tcp: boolean;
  readonly #accepted: (connection: Connection) => void;
  readonly #failed: (code: string) => void;
  #slot: number | undefined;
  #pause: NodeJS.Timeout | undefined;
  #complained = false;

  constructor(
    loop: Loop,
    { fd, local, path }: Listener & { readonly fd: number },
    shared: boolean,
    accepted: (connection: Connection) => void,
    failed: (code: string) => void,
  ) {
    this.#loop = loop;
    this.#fd = fd;
    this.#shared = shared;
    this.#tcp = path === undefined;
    this.#local = isWildcard(local.host) ? undefined : local;
    this.#accepted = accepted;
    this.#failed = failed;
    this.#slot = this.#watch();
  }

  ready(): void {
    const share = this.#shared ? BATCH.together : BATCH.alone;
    for (let i = 0; i < share && this.#slot !== undefined; i++) {
      expectSockaddr();
      const fd = libc.accept4(this.#fd, SOCKADDR, SOCKADDR_LENGTH, NONBLOCK_CLOEXEC);
      if (fd < 0) return this.#noneNow(errno());
      const connection = this.#connection(fd);
      if (connection === undefined) return;
      this.#complained = false;
      this.#accepted(connection);
    }
  }

  close(): void {
    clearTimeout(this.#pause);
    if (this.#slot !== undefined) this.#loop.remove(this.#slot, this.#fd);
    this.#slot = undefined;
  }

  /** `undefined` when the system cannot watch another descriptor. */
  #connection(fd: number): FastConnection | undefined {
    const remote = this.#tcp ? decodeSockaddr() : HERE;
    try {
      const connection = new FastConnection(this.#loop, fd, this.#local ?? localOf(fd), remote);
      if (!this.#tcp) connection.expectMarks();
      return connection;
    } catch (error) {
      libc.close(fd);
      this.#rest(error as NodeJS.ErrnoException);
      return undefined;
    }
  }

  #noneNow(code: number): void {
    // Other errors have ended a single connection.
    if (EXHAUSTED.has(code)) this.#rest(systemError(code, 'accept'));
  }

  #rest({ code, message }: NodeJS.ErrnoException): void {
    if (!this.#complained) this.#failed(code ?? message);
    this.#complained = true;
    if (this.#slot !== undefined) this.#loop.remove(this.#slot, this.#fd);
    this.#slot = undefined;
    this.#pause = setTimeout(() => this.#goOn(), PAUSE);
  }

  #goOn(): void {
    try {
      this.#slot = this.#watch();
    } catch (error) {
      this.#rest(error as NodeJS.ErrnoException);
    }
  }

  #watch(): number {
    const slot = this.#loop.add(this.#fd, EPOLLIN | EPOLLEXCLUSIVE, this);
    if (this.#shared) this.#loop.disown(slot);
    return slot;
  }
}

function bindTcp(at: Endpoint): number {
  const family = at.host.includes(':') ? AF_INET6 : AF_INET;
  return bound(family, (fd) => {
    setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (family === AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    setNoDelay(fd);
    setKeepAlive(fd);
    bindTo(fd, at, 'listen');
  });
}

function bindUnix(at: UnixSocket): number {
  const size = encodePath(at.path);
  return bound(AF_UNIX, (fd) =>
    withMode(at, () => checked(libc.bind(fd, SOCKADDR, size), 'listen', at.path)),
  );
}

function isShared(at: ListenAt): boolean {
  return 'fd' in at && at.shared === true;
}

/** The socket may have been opened without the required options. */
function passed(fd: number): number {
  checked(libc.fcntl(fd, F_SETFL, checked(libc.fcntl(fd, F_GETFL, 0), 'fcntl') | O_NONBLOCK), 'fcntl');
  setNoDelay(fd);
  setKeepAlive(fd);
  return fd;
}

function bound(family: number, bind: (fd: number) => void): number {
  const fd = checked(libc.socket(family, SOCK_STREAM | NONBLOCK_CLOEXEC, 0), 'socket');
  try {
    bind(fd);
    checked(libc.listen(fd, BACKLOG), 'listen');
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** The address or path that it listens on. */
function placeOf(fd: number): [local: Endpoint, path?: string] {
  expectSockaddr();
  checked(libc.getsockname(fd, SOCKADDR, SOCKADDR_LENGTH), 'getsockname');
  return familyOfSockaddr() === AF_UNIX ? [HERE, pathOfSockaddr()] : [decodeSockaddr()];
}
