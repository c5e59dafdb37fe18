import type { Duplex } from 'node:stream';

/** What Node keeps below a socket, and passes on through TLS. */
interface Handle {
  readonly fd?: number;
  reading?: boolean;
  /** 0, or a negative errno. */
  getpeername?(out: object): number;
  readStart?(): number;
  readStop?(): number;
}

/** `undefined` where there is none: of a stream that is no socket, or closed. */
export function handleOf(stream: Duplex): Handle | undefined {
  const { _handle: handle } = stream as { readonly _handle?: Handle | null };
  return handle ?? undefined;
}

/** Stops a paused stream at once, which would read on until it holds one chunk more; whether it was reading. */
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
