import { open } from './ffi.ts';
import { viewOf } from './memory.ts';

/**
 * The system calls of the fast engine. `address` and parameters ending in `At` are addresses from
 * `memory.ts`; 0 is null. A failed call returns -1; `errno()` must be read right after it.
 */
interface Libc {
  /** `_exit(2)`. */
  exit(code: number): void;
  accept4(fd: number, sockaddrAt: number, lengthAt: number, flags: number): number;
  bind(fd: number, sockaddrAt: number, length: number): number;
  close(fd: number): number;
  connect(fd: number, sockaddrAt: number, length: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, eventAt: number): number;
  epoll_wait(epoll: number, eventsAt: number, most: number, timeout: number): number;
  fcntl(fd: number, command: number, value: number): number;
  getppid(): number;
  getsockname(fd: number, sockaddrAt: number, lengthAt: number): number;
  getsockopt(fd: number, level: number, name: number, valueAt: number, lengthAt: number): number;
  /** Returns 0 on failure, otherwise `nameAt`. */
  if_indextoname(index: number, nameAt: number): number;
  /** Returns 0 on failure. */
  if_nametoindex(nameAt: number): number;
  listen(fd: number, backlog: number): number;
  pipe2(pairAt: number, flags: number): number;
  read(fd: number, address: number, size: number): number;
  recvmmsg(fd: number, messagesAt: number, count: number, flags: number, timeoutAt: number): number;
  recvmsg(fd: number, messageAt: number, flags: number): number;
  send(fd: number, address: number, size: number, flags: number): number;
  sendmmsg(fd: number, messagesAt: number, count: number, flags: number): number;
  setsockopt(fd: number, level: number, name: number, valueAt: number, length: number): number;
  shutdown(fd: number, how: number): number;
  socket(family: number, type: number, protocol: number): number;
  socketpair(family: number, type: number, protocol: number, pairAt: number): number;
  splice(from: number, fromAt: number, to: number, toAt: number, size: number, flags: number): number;
  write(fd: number, address: number, size: number): number;
}

const I = 'i32';

const {
  __errno_location: errnoLocation,
  _exit: exit,
  ...calls
} = open('libc.so.6', {
  accept4: { arguments: [I, I, I, I], return: I },
  bind: { arguments: [I, I, I], return: I },
  close: { arguments: [I], return: I },
  connect: { arguments: [I, I, I], return: I },
  epoll_create1: { arguments: [I], return: I },
  epoll_ctl: { arguments: [I, I, I, I], return: I },
  epoll_wait: { arguments: [I, I, I, I], return: I },
  fcntl: { arguments: [I, I, I], return: I },
  getppid: { arguments: [], return: I },
  getsockname: { arguments: [I, I, I], return: I },
  getsockopt: { arguments: [I, I, I, I, I], return: I },
  if_indextoname: { arguments: [I, I], return: I },
  if_nametoindex: { arguments: [I], return: I },
  listen: { arguments: [I, I], return: I },
  pipe2: { arguments: [I, I], return: I },
  read: { arguments: [I, I, I], return: I },
  recvmmsg: { arguments: [I, I, I, I, I], return: I },
  recvmsg: { arguments: [I, I, I], return: I },
  send: { arguments: [I, I, I, I], return: I },
  sendmmsg: { arguments: [I, I, I, I], return: I },
  setsockopt: { arguments: [I, I, I, I, I], return: I },
  shutdown: { arguments: [I, I], return: I },
  socket: { arguments: [I, I, I], return: I },
  socketpair: { arguments: [I, I, I, I], return: I },
  splice: { arguments: [I, I, I, I, I, I], return: I },
  write: { arguments: [I, I, I], return: I },
  _exit: { arguments: [I], return: 'void' },
  __errno_location: { arguments: [], return: 'u64' },
}).functions;

export const libc: Libc = { ...calls, exit };

/** errno is per thread, and each thread loads its own modules. */
const error = new Int32Array(viewOf(errnoLocation(), Int32Array.BYTES_PER_ELEMENT));

/** The error of the preceding call. */
export function errno(): number {
  return error[0]!;
}
