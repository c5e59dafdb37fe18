import { createSocket } from 'node:dgram';
import type { Endpoint } from './engine.ts';

/** Any port does: connecting a UDP socket sends nothing, it only asks the kernel for the way. */
const DISCARD_PORT = 9;

/**
 * The local address that the kernel sends from to a literal address; `undefined` when there is none now: no route, no
 * address of that family, a link-local address without its zone.
 */
export function sourceFor(host: string): string | undefined {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    socket.connectSync(DISCARD_PORT, host);
    return socket.address().address;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

/**
 * Why a connection could not be made, as Node says it. Linux says EADDRNOTAVAIL when ports are used up, but also on a machine
 * without IPv6, which has no address to send from: then there is no way.
 */
export function connectError(code: string, { host, port }: Endpoint): Error {
  const told = code === 'EADDRNOTAVAIL' && sourceFor(host) === undefined ? 'ENETUNREACH' : code;
  return Object.assign(new Error(`connect ${told} ${host}:${port}`), { code: told, syscall: 'connect' });
}
