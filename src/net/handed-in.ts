import type { Socket } from 'node:net';
import type { Connection } from './engine.ts';
import { connectionOf } from './portable/tcp.ts';

/**
 * A connection over a TCP socket that was accepted elsewhere and not read from; `new Socket({ fd })` makes a
 * socket of a descriptor. Any engine can relay it. `undefined` when the peer has already reset it.
 */
export function handedIn(socket: Socket): Connection | undefined {
  // A relay requires half-close.
  socket.allowHalfOpen = true;
  socket.setNoDelay(true);
  const connection = connectionOf(socket);
  socket.resume();
  return connection;
}
