import { once } from 'node:events';
import { lstat, unlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { ListenOptions, Server } from 'node:net';
import type { Connection, Endpoint, ListenAt, Listener, UnixSocket } from '../engine.ts';
import { PortableConnection } from './connection.ts';
import { endpoint } from './endpoint.ts';
import { connectionOf, SOCKET_OPTIONS } from './tcp.ts';

const BACKLOG = 4096;
/** Either end of a connection over a unix socket. */
const HERE: Endpoint = { host: '127.0.0.1', port: 0 };

export async function listen(
  at: ListenAt,
  accepted: (connection: Connection) => void,
  failed: (code: string) => void,
): Promise<Listener> {
  const server = createServer(SOCKET_OPTIONS);
  try {
    await bind(server, at);
  } catch (error) {
    if (!('path' in at) || !(await isLeftBehind(at, error))) throw error;
    await unlink(at.path);
    await bind(server, at);
  }
  const bound = server.address();
  if (bound === null) throw new TypeError('the listener has no address');
  const path = typeof bound === 'string' ? bound : undefined;
  const local = typeof bound === 'string' ? HERE : endpoint(bound.address, bound.port);
  server.on('connection', (socket) => {
    const connection = path !== undefined ? new PortableConnection(socket, HERE, HERE) : connectionOf(socket);
    if (connection !== undefined) accepted(connection);
  });
  server.on('error', (error: NodeJS.ErrnoException) => failed(error.code ?? error.message));
  // When this returns the port is free; its callback would wait for the connections too.
  const close = async (): Promise<void> => void server.close();
  return { local, ...(path !== undefined && { path }), close, [Symbol.asyncDispose]: close };
}

async function bind(server: Server, at: ListenAt): Promise<void> {
  const options: ListenOptions = { ...at, backlog: BACKLOG, exclusive: true };
  const listening = once(server, 'listening');
  // Node binds a path before `listen` returns: nobody gets at the socket before its mode is set.
  const umask = 'path' in at ? process.umask(0o777 & ~at.mode) : undefined;
  server.listen(options);
  if (umask !== undefined) process.umask(umask);
  await listening;
}

/** Whether the path is a socket that nobody listens on any more. */
async function isLeftBehind({ path }: UnixSocket, error: unknown): Promise<boolean> {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return false;
  if (!(await lstat(path)).isSocket()) return false;
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return false;
  } catch (refusal) {
    return (refusal as NodeJS.ErrnoException).code === 'ECONNREFUSED';
  } finally {
    socket.destroy();
  }
}
