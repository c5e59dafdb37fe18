import type { Socket } from 'node:net';
import type { Connection } from './engine.ts';
import { connectionOf, SOCKET_OPTIONS } from './portable/tcp.ts';

/**
 * A connection over a TCP socket that was accepted elsewhere and not read from; `new Socket({ fd })` makes a
 * socket of a descriptor. Any engine can relay it. `undefined` when the peer has already reset it.
 */
export function handedIn(socket: Socket): Connection | undefined {
  const { allowHalfOpen, noDelay, keepAlive, keepAliveInitialDelay } = SOCKET_OPTIONS;
  socket.allowHalfOpen = allowHalfOpen;
  socket.setNoDelay(noDelay);
  socket.setKeepAlive(keepAlive, keepAliveInitialDelay);
  const connection = connectionOf(socket);
  socket.resume();
  return connection;
}
