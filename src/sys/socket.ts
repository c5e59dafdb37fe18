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

/** Seconds of silence before the kernel probes the peer. */
const KEEP_IDLE = 60;

const option = reserve(16) >> 2;
const OPTION = addressOf(option << 2);
const LENGTH = addressOf((option + 2) << 2);

/** The part of `tcp_info` (tcp(7)) that is read. */
const INFO_SIZE = 60;
const info = reserve(INFO_SIZE);
const INFO = addressOf(info);
/**
 * Offsets of its fields: unanswered retransmissions, unanswered probes, and milliseconds since the last
 * acknowledgement.
 */
const RETRANSMITS = 2;
const PROBES = 3;
const LAST_ACK_RECEIVED = 56;
const TCP_CLOSE = 7;

/** The result of a call; throws a system error if it failed. */
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

/** Makes the next close a reset. */
export function resetOnClose(fd: number): void {
  int32[option] = 1;
  int32[option + 1] = 0;
  libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, OPTION, 8);
}

/** The pending error of a socket as errno; 0 = none. Reading it clears it. */
export function takeError(fd: number): number {
  int32[option] = 0;
  int32[option + 2] = 4;
  return libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, OPTION, LENGTH) < 0 ? errno() : int32[option];
}

/**
 * Whether the peer of a socket that cannot send is still connected: it has answered within these
 * milliseconds, or has missed at most one probe. The kernel probes a peer with a full window repeatedly, and
 * the peer counts as gone only after more than one.
 */
export function answers(fd: number, milliseconds: number): boolean {
  int32[option + 2] = INFO_SIZE;
  // Both ends of any other kind of socket are local, where the kernel reports a closed end.
  if (libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, INFO, LENGTH) < 0) return fd >= 0;
  if (bytes[info] === TCP_CLOSE) return false;
  const unanswered = bytes[info + RETRANSMITS]! + bytes[info + PROBES]!;
  return unanswered <= 1 || int32[(info + LAST_ACK_RECEIVED) >> 2]! < milliseconds;
}

/**
 * Binds a socket to a local address, and to the network interface that its zone names. `syscall`: the name in
 * error messages.
 */
export function bindTo(fd: number, at: Endpoint, syscall: string): void {
  const device = zoneOf(at.host);
  // For a link-local address the zone is part of the address.
  if (device !== undefined && !needsZone(at.host)) bindToDevice(fd, device);
  checked(libc.bind(fd, SOCKADDR, encodeSockaddr(at)), syscall, `${withoutZone(at.host)}:${at.port}`);
}

/** Restricts a socket to this network interface, for sending and receiving. */
export function bindToDevice(fd: number, name: string): void {
  if (!putName(name)) throw systemError('EADDRNOTAVAIL', 'bind', `there is no interface ${name}`);
  if (libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, NAME, NAME_SIZE) === 0) return;
  const code = errno();
  if (code === ENODEV) throw systemError('EADDRNOTAVAIL', 'bind', `there is no interface ${name}`);
  throw systemError(code, 'bind', `interface ${name}`);
}

/** Whether the interface that a socket was bound to no longer exists. */
export function lacksDevice(fd: number): boolean {
  int32[option + 2] = NAME_SIZE;
  return libc.getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, NAME, LENGTH) < 0;
}

export function localOf(fd: number): Endpoint {
  expectSockaddr();
  checked(libc.getsockname(fd, SOCKADDR, SOCKADDR_LENGTH), 'getsockname');
  return decodeSockaddr();
}
