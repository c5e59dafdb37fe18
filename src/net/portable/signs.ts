import type { Duplex } from 'node:stream';
import { handleOf } from './handle.ts';

/** What can be known of the socket below a stream while nobody reads or writes. */
export interface Signs {
  /** The peer has reset it, whatever the stream says. */
  isReset(stream: Duplex): boolean;
  /** Its peer takes nothing, but has answered within so many milliseconds, or nothing was asked. False where nobody can tell. */
  answers(stream: Duplex, milliseconds: number): boolean;
}

/**
 * A reset can look like an end of stream: libuv takes a read that stops short together with a hang-up for one, and TLS forgets
 * the error when it was a message of its own that could not be sent. But a socket that was reset has no peer any more.
 */
export const signs: Signs = {
  isReset(stream) {
    // One that was closed in order has none either.
    if (stream.destroyed || stream.writableFinished) return false;
    return (handleOf(stream)?.getpeername?.({}) ?? 0) < 0;
  },
  answers: () => false,
};

export function resetError(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' });
}
