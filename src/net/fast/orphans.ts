import { libc } from '../../sys/libc.ts';
import { resetOnClose } from '../../sys/socket.ts';

/** Room in a list of descriptors; those beyond would stay open. */
const MAX_DESCRIPTORS = 1 << 20;

/** For the descriptors that a thread has: pages that none has reached take no room. */
export function createOwnedMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(MAX_DESCRIPTORS * Int32Array.BYTES_PER_ELEMENT);
}

/** Closes what a thread that has died has left open; connections with a reset, for none of them was over. */
export function closeAll(owned: Int32Array): void {
  for (const fd of owned) {
    if (fd === 0) continue;
    resetOnClose(fd);
    libc.close(fd);
  }
}

/** Node's own way out waits for threads, or aborts the process. */
export function exitAtOnce(code: number): void {
  libc.exit(code);
}
