/** For servers with several threads, which only the fast engine has: what the thread that opens the listeners has to do. */
export { openListener } from './fast/listen.ts';
export { closeAll, createOwnedMemory, exitAtOnce } from './fast/orphans.ts';
