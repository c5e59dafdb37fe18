import { createSocket } from 'node:dgram';
import type { UnixPath } from './engine.ts';
import { codeOf } from '../wire/error-code.ts';
import type { Endpoint } from '../wire/address.ts';

/** Any port does: connecting a UDP socket sends nothing, it only asks the kernel for the way. */
const DISCARD_PORT = 9;

/**
 * The local address that the kernel sends from to a literal address; `undefined` when there is none now: no route, no
 * address of that family, a link-local address without its zone. Throws Node's error when the kernel cannot be asked.
 */
export function sourceFor(host: string): string | undefined {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    socket.connectSync(DISCARD_PORT, host);
    return socket.address().address;
  } catch (error) {
    if (EXHAUSTED.has(codeOf(error)!)) throw error;
    return undefined;
  } finally {
    socket.close();
  }
}

/** No room for a socket: that says nothing about the way. */
const EXHAUSTED: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/**
 * Why a connection could not be made, as Node says it. Linux says EADDRNOTAVAIL when ports are used up, but also on a machine
 * without IPv6, which has no address to send from: then there is no way.
 */
export function connectError(code: string, to: Endpoint | UnixPath): Error {
  const told = code === 'EADDRNOTAVAIL' && 'host' in to && hasNoWay(to.host) ? 'ENETUNREACH' : code;
  const place = 'host' in to ? `${to.host}:${to.port}` : to.path;
  return Object.assign(new Error(`connect ${told} ${place}`), { code: told, syscall: 'connect' });
}

function hasNoWay(host: string): boolean {
  try {
    return sourceFor(host) === undefined;
  } catch {
    return false; // nobody knows
  }
}
