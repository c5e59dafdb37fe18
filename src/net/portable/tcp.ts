import { type AddressInfo, createServer, Socket } from 'node:net';
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
    if (connection === undefined) socket.destroy();
    else accepted(connection);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: at.host, port: at.port, backlog: BACKLOG, exclusive: true }, () => {
      server.off('error', reject);
      server.on('error', (error: NodeJS.ErrnoException) => failed(error.code ?? error.message));
      const bound = server.address() as AddressInfo;
      // The handle is closed, and the port free, when this returns; its callback waits for the connections too.
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
    const timer = setTimeout(() => fail(timedOut(to)), timeout);
    const abort = (): void => fail(signal!.reason as Error);
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      socket.removeListener('error', fail);
    };
    const fail = (error: Error): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const connected = (): void => {
      settle();
      const connection = connectionOf(socket);
      if (connection !== undefined) resolve(connection);
      else fail(Object.assign(new Error('closed at once'), { code: 'ECONNRESET' }));
    };
    signal?.addEventListener('abort', abort);
    socket.once('error', fail);
    socket.connect(
      { host: to.host, port: to.port, ...(from !== undefined && { localAddress: from }) },
      connected,
    );
  });
}

function connectionOf(socket: Socket): Connection | undefined {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (
    localAddress === undefined ||
    localPort === undefined ||
    remoteAddress === undefined ||
    remotePort === undefined
  )
    return undefined;
  return new PortableConnection(socket, {
    local: endpoint(localAddress, localPort),
    remote: endpoint(remoteAddress, remotePort),
    resettable: true,
  });
}

function timedOut(to: Endpoint): Error {
  return Object.assign(new Error(`no connection to ${to.host}`), { code: 'ETIMEDOUT' });
}
