import type { Duplex } from 'node:stream';

/** Node's internal handle of a socket, which TLS sockets expose as well. */
interface Handle {
  readonly fd?: number;
  reading?: boolean;
  /** 0, or a negative errno. */
  getpeername?(out: object): number;
  readStart?(): number;
  readStop?(): number;
}

/** `undefined` for a stream that is not a socket, or is closed. */
export function handleOf(stream: Duplex): Handle | undefined {
  const { _handle: handle } = stream as { readonly _handle?: Handle | null };
  return handle ?? undefined;
}

/** Stops a paused stream at once; it would otherwise read one more chunk. Returns whether it was reading. */
export function stopReading(stream: Duplex): boolean {
  const handle = handleOf(stream);
  if (handle?.reading !== true || handle.readStop === undefined) return false;
  handle.reading = false;
  handle.readStop();
  return true;
}

/** Undoes `stopReading`. */
export function startReading(stream: Duplex): void {
  const handle = handleOf(stream);
  if (handle?.reading !== false || handle.readStart === undefined) return;
  handle.reading = true;
  handle.readStart();
}
