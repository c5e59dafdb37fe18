import type { Duplex } from 'node:stream';
import { handleOf } from './handle.ts';

/** The state of the socket below a stream that is neither read nor written. */
export interface Signs {
  /** Whether the peer has reset it, regardless of the stream's state. */
  isReset(stream: Duplex): boolean;
  /**
   * Whether a peer that takes no data has answered within these milliseconds, or was not probed. False where
   * this is unknown.
   */
  answers(stream: Duplex, milliseconds: number): boolean;
}

/**
 * A reset can look like an end of stream: libuv treats a short read together with a hang-up as one, and TLS
 * drops the error if it occurred while sending one of its own messages. But a socket that was reset has no
 * peer address.
 */
export const signs: Signs = {
  isReset(stream) {
    // A stream closed normally has no peer address either.
    if (stream.destroyed || stream.writableFinished) return false;
    return (handleOf(stream)?.getpeername?.({}) ?? 0) < 0;
  },
  answers: () => false,
};

export function resetError(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' });
}
