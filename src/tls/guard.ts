import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

/** What waits in a link while nobody reads: no more than a record. */
export const HOLDS_LITTLE = { highWaterMark: 1 } as const;

/**
 * Nobody may take a link that was cut for a whole one. TLS has no reset of its own, so what carries it gets one; and after an
 * error Node would go on to the end of stream.
 */
export function guard(tls: TLSSocket, carrier: Duplex): void {
  tls.on('_tlsError', (error: Error) => tls.destroy(error));
  const close = tls._destroy.bind(tls);
  tls._destroy = (error: NodeJS.ErrnoException | null, done) => {
    // The alert may wait behind a write, which Node counts as done at the end of this turn of the event loop. Only after an error of
    // OpenSSL is it safe to wait: nothing can be read any more, and bytes for a destroyed stream would end the process.
    if (error?.code?.startsWith('ERR_SSL_') === true) setImmediate(close, error, done);
    else close(error, done);
  };
  tls.resetAndDestroy = () => {
    // Its alert is on the way, or the carrier has gone with it.
    if (tls.destroyed) return tls;
    if (carrier instanceof Socket) carrier.resetAndDestroy();
    else carrier.destroy();
    return tls.destroy();
  };
}
