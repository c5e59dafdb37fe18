import {
  AF_UNIX,
  EPOLL_CLOEXEC,
  NONBLOCK_CLOEXEC,
  SOCK_STREAM,
  SPLICE_F_MOVE_NONBLOCK,
} from './constants.ts';
import { EAGAIN } from './errors.ts';
import { errno, libc } from './libc.ts';
import { addressOf, bytes, int32, reserve } from './memory.ts';

const PROBE = [0x67, 0x61, 0x72, 0x74, 0x65, 0x72];

const memory = reserve(64);
const at = addressOf(memory);

/** Verifies that the system calls work as the fast engine requires; throws when they do not. */
export function probe(): void {
  expect(libc.getppid() === process.ppid, 'getppid');
  const open: number[] = [];
  const pairOf = (made: number, call: string): [number, number] => {
    expect(made === 0, call);
    const pair: [number, number] = [int32[memory >> 2]!, int32[(memory >> 2) + 1]!];
    open.push(...pair);
    return pair;
  };
  try {
    const epoll = libc.epoll_create1(EPOLL_CLOEXEC);
    expect(epoll >= 0, 'epoll_create1');
    open.push(epoll);
    const [near, far] = pairOf(libc.socketpair(AF_UNIX, SOCK_STREAM | NONBLOCK_CLOEXEC, 0, at), 'socketpair');
    const [outOf, into] = pairOf(libc.pipe2(at, NONBLOCK_CLOEXEC), 'pipe2');
    expect(libc.read(near, at, 1) === -1 && errno() === EAGAIN, 'errno');
    bytes.set(PROBE, memory);
    expect(libc.write(far, at, PROBE.length) === PROBE.length, 'write');
    bytes.fill(0, memory, memory + PROBE.length);
    expect(libc.splice(near, 0, into, 0, 64, SPLICE_F_MOVE_NONBLOCK) === PROBE.length, 'splice');
    expect(libc.read(outOf, at, 64) === PROBE.length, 'read');
    expect(
      PROBE.every((byte, i) => bytes[memory + i] === byte),
      'memory',
    );
  } finally {
    for (const fd of open) libc.close(fd);
  }
}

function expect(worked: boolean, call: string): void {
  if (!worked) throw new Error(`${call} does not do what it should`);
}
