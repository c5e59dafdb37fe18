/**
 * For servers with several threads, which only the fast engine supports: the duties of the thread that opens
 * the listeners.
 */
export { openListener } from './fast/listen.ts';
export { closeAll, createOwnedMemory, exitAtOnce } from './fast/orphans.ts';
