import { once } from 'node:events';
import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import type { UnixSocket } from './engine.ts';
import { codeOf } from '../wire/error-code.ts';
import type { Endpoint } from '../wire/address.ts';

/** Both addresses of a connection over a unix socket. */
export const HERE: Endpoint = { host: '127.0.0.1', port: 0 };

/** Binds with `bind`; replaces a socket file left behind by a server that no longer runs. */
export async function bindPath<T>(at: UnixSocket, bind: () => T | Promise<T>): Promise<T> {
  try {
    return await bind();
  } catch (error) {
    if (!(await isLeftBehind(at, error))) throw error;
    await unlink(at.path);
    return bind();
  }
}

/** Runs `bind`, which must be synchronous, so that the socket never exists without its mode. */
export function withMode<T>({ mode }: UnixSocket, bind: () => T): T {
  const umask = process.umask(0o777 & ~mode);
  try {
    return bind();
  } finally {
    process.umask(umask);
  }
}

/** Whether the path is a socket without a listener. */
async function isLeftBehind({ path }: UnixSocket, error: unknown): Promise<boolean> {
  if (codeOf(error) !== 'EADDRINUSE') return false;
  if (!(await lstat(path)).isSocket()) return false;
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return false;
  } catch (refusal) {
    return codeOf(refusal) === 'ECONNREFUSED';
  } finally {
    socket.destroy();
  }
}
