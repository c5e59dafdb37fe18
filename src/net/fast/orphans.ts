import { libc } from '../../sys/libc.ts';
import { resetOnClose } from '../../sys/socket.ts';

/** The capacity of the list of descriptors; further ones would not be closed. */
const MAX_DESCRIPTORS = 1 << 20;

/** For the descriptors of a thread; untouched pages take no memory. */
export function createOwnedMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(MAX_DESCRIPTORS * Int32Array.BYTES_PER_ELEMENT);
}

/**
 * Closes the descriptors that a dead thread has left open; connections with a reset, as they are incomplete.
 */
export function closeAll(owned: Int32Array): void {
  for (const fd of owned) {
    if (fd === 0) continue;
    resetOnClose(fd);
    libc.close(fd);
  }
}

/** Node's own exit waits for threads, or aborts the process. */
export function exitAtOnce(code: number): void {
  libc.exit(code);
}
