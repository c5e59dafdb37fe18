import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

/** Limits what a link buffers without a reader to one record. */
export const HOLDS_LITTLE = { highWaterMark: 1 } as const;

/**
 * A truncated link must not look complete. TLS has no reset, so the underlying stream is reset; and after an
 * error Node would otherwise deliver an end of stream.
 */
export function guard(tls: TLSSocket, carrier: Duplex): void {
  tls.on('_tlsError', (error: Error) => tls.destroy(error));
  const close = tls._destroy.bind(tls);
  tls._destroy = (error: NodeJS.ErrnoException | null, done) => {
    // The alert may be queued behind a write, which Node completes at the end of this turn of the event loop.
    // Waiting is only safe after an OpenSSL error: nothing more can be read, and bytes for a destroyed stream
    // would end the process.
    if (error?.code?.startsWith('ERR_SSL_') === true) setImmediate(close, error, done);
    else close(error, done);
  };
  tls.resetAndDestroy = () => {
    // Its alert is being sent, or the carrier has closed as well.
    if (tls.destroyed) return tls;
    if (carrier instanceof Socket) carrier.resetAndDestroy();
    else carrier.destroy();
    return tls.destroy();
  };
}
