import { needsZone, withoutZone, zoneOf } from '../wire/ip.ts';
import type { Endpoint } from '../wire/address.ts';
import {
  IPPROTO_TCP,
  SO_BINDTODEVICE,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_LINGER,
  SOL_SOCKET,
  TCP_INFO,
  TCP_KEEPIDLE,
  TCP_NODELAY,
} from './constants.ts';
import { ENODEV, systemError } from './errors.ts';
import { NAME, NAME_SIZE, putName } from './interface-name.ts';
import { errno, libc } from './libc.ts';
import { addressOf, bytes, int32, reserve } from './memory.ts';
import { encodeSockaddr, expectSockaddr, SOCKADDR, SOCKADDR_LENGTH, decodeSockaddr } from './sockaddr.ts';

/** Seconds of silence until the kernel asks whether the peer is still there. */
const KEEP_IDLE = 60;

const option = reserve(16) >> 2;
const OPTION = addressOf(option << 2);
const LENGTH = addressOf((option + 2) << 2);

/** The part of `tcp_info` (tcp(7)) that is asked for. */
const INFO_SIZE = 60;
const info = reserve(INFO_SIZE);
const INFO = addressOf(info);
/** Of its fields: how often was something sent that nobody has answered, and how many milliseconds ago something was. */
const RETRANSMITS = 2;
const PROBES = 3;
const LAST_ACK_RECEIVED = 56;
const TCP_CLOSE = 7;

/** What a call has given, or a system error. */
export function checked(result: number, syscall: string, about?: string): number {
  if (result < 0) throw systemError(errno(), syscall, about);
  return result;
}

export function setOption(fd: number, level: number, name: number, value: number): number {
  int32[option] = value;
  return libc.setsockopt(fd, level, name, OPTION, 4);
}

export function setNoDelay(fd: number): void {
  setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

export function setKeepAlive(fd: number): void {
  setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  setOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE);
}

/** The next close is a reset. */
export function resetOnClose(fd: number): void {
  int32[option] = 1;
  int32[option + 1] = 0;
  libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, OPTION, 8);
}

/** The error that a socket has met, as a number; 0 = none. Asking takes it away. */
export function takeError(fd: number): number {
  int32[option] = 0;
  int32[option + 2] = 4;
  return libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, OPTION, LENGTH) < 0 ? errno() : int32[option];
}

/**
 * Whether the peer of a socket that takes nothing is still there: it has answered within so many milliseconds, or has not failed
 * to. The kernel asks one with a full window again and again, and more than once before it is taken for gone.
 */
export function answers(fd: number, milliseconds: number): boolean {
  int32[option + 2] = INFO_SIZE;
  // Both ends of any other kind of socket are here, where the kernel tells when one is gone.
  if (libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, INFO, LENGTH) < 0) return fd >= 0;
  if (bytes[info] === TCP_CLOSE) return false;
  const unanswered = bytes[info + RETRANSMITS]! + bytes[info + PROBES]!;
  return unanswered <= 1 || int32[(info + LAST_ACK_RECEIVED) >> 2]! < milliseconds;
}

/** Binds a socket to a local address, and to the network interface that its zone names. `syscall`: for whom, in errors. */
export function bindTo(fd: number, at: Endpoint, syscall: string): void {
  const device = zoneOf(at.host);
  // With a link-local address its zone does that.
  if (device !== undefined && !needsZone(at.host)) bindToDevice(fd, device);
  checked(libc.bind(fd, SOCKADDR, encodeSockaddr(at)), syscall, `${withoutZone(at.host)}:${at.port}`);
}

/** From now on a socket hears and sends by this network interface only. */
export function bindToDevice(fd: number, name: string): void {
  if (!putName(name)) throw systemError('EADDRNOTAVAIL', 'bind', `there is no interface ${name}`);
  if (libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, NAME, NAME_SIZE) === 0) return;
  const code = errno();
  if (code === ENODEV) throw systemError('EADDRNOTAVAIL', 'bind', `there is no interface ${name}`);
  throw systemError(code, 'bind', `interface ${name}`);
}

/** Whether the interface that a socket was bound to has gone. */
export function lacksDevice(fd: number): boolean {
  int32[option + 2] = NAME_SIZE;
  return libc.getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, NAME, LENGTH) < 0;
}

export function localOf(fd: number): Endpoint {
  expectSockaddr();
  checked(libc.getsockname(fd, SOCKADDR, SOCKADDR_LENGTH), 'getsockname');
  return decodeSockaddr();
}
