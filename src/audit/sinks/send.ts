import type { Writable } from 'node:stream';

/** Resolves when the system has taken all bytes. */
export function sendAll(stream: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
