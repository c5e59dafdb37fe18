import { once } from 'node:events';
import { createServer } from 'node:net';
import type { ListenOptions, Server } from 'node:net';
import type { Connection, ListenAt, Listener } from '../engine.ts';
import { bindPath, HERE, withMode } from '../unix.ts';
import { PortableConnection } from './connection.ts';
import { endpoint, forNode } from './endpoint.ts';
import { connectionOf, SOCKET_OPTIONS } from './tcp.ts';

const BACKLOG = 4096;

export async function listen(
  at: ListenAt,
  accepted: (connection: Connection) => void,
  failed: (code: string) => void,
): Promise<Listener> {
  const server = createServer(SOCKET_OPTIONS);
  await ('path' in at ? bindPath(at, () => bind(server, at)) : bind(server, at));
  const bound = server.address();
  const isTcp = typeof bound === 'object' && bound !== null;
  // Node does not know the path of a unix socket that was passed in.
  const path = isTcp ? undefined : (bound ?? `fd ${(at as { readonly fd: number }).fd}`);
  const local = isTcp ? endpoint(bound.address, bound.port) : HERE;
  server.on('connection', (socket) => {
    const connection = path !== undefined ? new PortableConnection(socket, HERE, HERE) : connectionOf(socket);
    if (connection !== undefined) accepted(connection);
  });
  server.on('error', (error: NodeJS.ErrnoException) => failed(error.code ?? error.message));
  // The port is free when this returns; the callback would wait for open connections as well.
  const close = async (): Promise<void> => void server.close();
  return { local, ...(path !== undefined && { path }), close, [Symbol.asyncDispose]: close };
}

async function bind(server: Server, at: ListenAt): Promise<void> {
  const place = 'host' in at ? { ...at, host: forNode(at.host) } : at;
  const options: ListenOptions = { ...place, backlog: BACKLOG, exclusive: true };
  const listening = once(server, 'listening');
  // Node binds a path before `listen` returns.
  if ('path' in at) withMode(at, () => server.listen(options));
  else server.listen(options);
  await listening;
}
