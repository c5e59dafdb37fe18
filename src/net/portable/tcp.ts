import { Socket } from 'node:net';
import type { TcpSocketConnectOpts } from 'node:net';
import { codeOf } from '../../wire/error-code.ts';
import { needsZone, seenFrom, zoneOf } from '../../wire/ip.ts';
import type { Connection, ConnectOptions, UnixPath } from '../engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import { connectError } from '../source.ts';
import { HERE } from '../unix.ts';
import { PortableConnection } from './connection.ts';
import { endpoint, forNode } from './endpoint.ts';

export const SOCKET_OPTIONS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 60_000,
  // A paused socket holds one chunk, and `drain` follows every chunk that the kernel did not take at once.
  highWaterMark: 1,
} as const;

export function connectTo(to: Endpoint | UnixPath, options: ConnectOptions): Promise<Connection> {
  const { from, timeout, signal } = options;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const place = 'path' in to ? to : placeOf(to, from);
    const socket = new Socket(SOCKET_OPTIONS);
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
      socket.off('error', fail);
    };
    const fail = (error: unknown): void => {
      settle();
      socket.destroy();
      const code = codeOf(error);
      reject(code === 'EADDRNOTAVAIL' ? connectError(code, to) : error);
    };
    const aborted = (): void => fail(signal?.reason);
    const timer = setTimeout(() => fail(connectError('ETIMEDOUT', to)), timeout);
    signal?.addEventListener('abort', aborted);
    socket.once('error', fail);
    socket.connect(place, () => {
      settle();
      const connection = 'path' in to ? new PortableConnection(socket, HERE, HERE) : connectionOf(socket);
      if (connection !== undefined) resolve(connection);
      else reject(connectError('ECONNRESET', to));
    });
  });
}

function placeOf(to: Endpoint, from: string | undefined): TcpSocketConnectOpts {
  const host = seenFrom(from ?? '', to.host);
  // Without a zone, libuv would guess the interface, while the kernel refuses.
  if (needsZone(host) && zoneOf(host) === undefined) throw connectError('EINVAL', to);
  return { host: forNode(host), port: to.port, localAddress: from && forNode(from) };
}

/** `undefined` when the peer has already reset it: the socket then has no addresses. */
export function connectionOf(socket: Socket): Connection | undefined {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (localAddress === undefined || remoteAddress === undefined) {
    socket.destroy();
    return undefined;
  }
  const local = endpoint(localAddress, localPort!);
  return new PortableConnection(socket, local, endpoint(remoteAddress, remotePort!), socket);
}
