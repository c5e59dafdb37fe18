import type { Socket } from 'node:net';
import type { Connection } from './engine.ts';
import { connectionOf } from './portable/tcp.ts';

/**
 * A connection of a TCP socket that somebody else accepted, and has not read from; `new Socket({ fd })` makes one of a descriptor. Any
 * engine relays it. `undefined` when its peer has reset it already.
 */
export function handedIn(socket: Socket): Connection | undefined {
  // A relay cannot do without half-close.
  socket.allowHalfOpen = true;
  socket.setNoDelay(true);
  const connection = connectionOf(socket);
  socket.resume();
  return connection;
}
