import { systemError } from './errors.ts';
import { ffi, open } from './ffi.ts';
import { addressOf, reserve } from './memory.ts';

const UV_POLL = 8;
const UV_READABLE = 1;

/** The libuv functions in Node's own binary. */
const { lib, functions: uv } = open(null, {
  uv_handle_size: { arguments: ['i32'], return: 'u64' },
  uv_poll_init: { arguments: ['u64', 'u64', 'i32'], return: 'i32' },
  uv_poll_start: { arguments: ['u64', 'i32', 'u64'], return: 'i32' },
  uv_poll_stop: { arguments: ['u64'], return: 'i32' },
  uv_close: { arguments: ['u64', 'u64'], return: 'void' },
});

interface Work {
  turn: () => void;
  scheduled: boolean;
}

/** By libuv handle. */
const works = new Map<bigint, Work>();

/**
 * A callback from FFI must not throw, and promises do not continue after it: the work runs right afterwards,
 * in an immediate.
 */
const readable = lib.registerCallback({ arguments: ['u64', 'i32', 'i32'] }, (handle: bigint) => {
  const work = works.get(handle);
  if (work === undefined || work.scheduled) return;
  work.scheduled = true;
  setImmediate(run, work);
});
/** Memory of handles that libuv has finished with. */
const free: bigint[] = [];
const closed = lib.registerCallback({ arguments: ['u64'] }, (handle: bigint) => void free.push(handle));

function run(work: Work): void {
  work.scheduled = false;
  work.turn();
}

/**
 * Calls `turn` in each iteration of this thread's event loop in which a descriptor is readable, until the
 * returned function is called; keeps the thread alive until then. A worker thread must not end before that.
 */
export function watch(fd: number, turn: () => void): () => void {
  const handle = free.pop() ?? BigInt(addressOf(reserve(Number(uv.uv_handle_size(UV_POLL)))));
  const failure = uv.uv_poll_init(ffi.getCurrentEventLoop(), handle, fd);
  if (failure !== 0) {
    free.push(handle);
    throw systemError(-failure, 'uv_poll_init');
  }
  const work: Work = { turn, scheduled: false };
  works.set(handle, work);
  uv.uv_poll_start(handle, UV_READABLE, readable);
  return () => {
    work.turn = () => {};
    works.delete(handle);
    uv.uv_poll_stop(handle);
    uv.uv_close(handle, closed);
  };
}
