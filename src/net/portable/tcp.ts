import { createServer, Socket } from 'node:net';
import type { Connection, ConnectOptions, Endpoint, Listener } from '../engine.ts';
import { PortableConnection } from './connection.ts';
import { endpoint } from './endpoint.ts';

const BACKLOG = 4096;

const SOCKET_OPTIONS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 60_000,
  // A paused socket holds one chunk, and `drain` comes after every chunk that the kernel did not take at once.
  highWaterMark: 1,
} as const;

export function listenTcp(
  at: Endpoint,
  accepted: (connection: Connection) => void,
  failed: (code: string) => void,
): Promise<Listener> {
  const server = createServer(SOCKET_OPTIONS, (socket) => {
    const connection = connectionOf(socket);
    if (connection !== undefined) accepted(connection);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: at.host, port: at.port, backlog: BACKLOG, exclusive: true }, () => {
      server.off('error', reject);
      server.on('error', (error: NodeJS.ErrnoException) => failed(error.code ?? error.message));
      const bound = server.address();
      if (bound === null || typeof bound === 'string') throw new TypeError('not a TCP listener');
      // When this returns the port is free; its callback would wait for the connections too.
      const close = async (): Promise<void> => void server.close();
      resolve({ local: endpoint(bound.address, bound.port), close, [Symbol.asyncDispose]: close });
    });
  });
}

export function connectTcp(to: Endpoint, options: ConnectOptions): Promise<Connection> {
  const { from, timeout, signal } = options;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const socket = new Socket(SOCKET_OPTIONS);
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
      socket.off('error', fail);
    };
    const fail = (error: unknown): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const aborted = (): void => fail(signal?.reason);
    const timer = setTimeout(() => fail(connectError('ETIMEDOUT', to)), timeout);
    signal?.addEventListener('abort', aborted);
    socket.once('error', fail);
    socket.connect({ host: to.host, port: to.port, localAddress: from }, () => {
      settle();
      const connection = connectionOf(socket);
      if (connection !== undefined) resolve(connection);
      else reject(connectError('ECONNRESET', to));
    });
  });
}

/** `undefined` when the peer has reset it already: it has no address any more. */
function connectionOf(socket: Socket): Connection | undefined {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (localAddress === undefined || remoteAddress === undefined) {
    socket.destroy();
    return undefined;
  }
  const local = endpoint(localAddress, localPort!);
  return new PortableConnection(socket, local, endpoint(remoteAddress, remotePort!), socket);
}

function connectError(code: string, { host, port }: Endpoint): Error {
  return Object.assign(new Error(`connect ${code} ${host}:${port}`), { code, syscall: 'connect' });
}
