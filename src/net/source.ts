import { createSocket } from 'node:dgram';
import type { UnixPath } from './engine.ts';
import { codeOf } from '../wire/error-code.ts';
import type { Endpoint } from '../wire/address.ts';

/** Any port works: connecting a UDP socket sends nothing, it only makes the kernel look up the route. */
const DISCARD_PORT = 9;

/**
 * The local address from which the kernel reaches a literal address; `undefined` when there is none at the
 * moment: no route, no address of that family, or a link-local address without its zone. Throws Node's error
 * when the kernel cannot be asked.
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

/** Out of resources for a socket, which reveals nothing about the route. */
const EXHAUSTED: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/**
 * Node's error for a failed connection. Linux returns EADDRNOTAVAIL when ports are exhausted, but also on a
 * host without IPv6, which has no source address: then the destination is unreachable.
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
    return false; // unknown
  }
}
