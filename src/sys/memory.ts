import { ffi, open } from './ffi.ts';

const SIZE = 8 * 1024 * 1024;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
/** Addresses below 2 GiB, on x64. */
const MAP_32BIT = 0x40;
/** At exactly this address, or not at all. */
const MAP_FIXED_NOREPLACE = 0x10_0000;
const LIMIT = 2 ** 31;

const { mmap } = open('libc.so.6', {
  mmap: { arguments: ['u64', 'u64', 'i32', 'i32', 'i32', 'i64'], return: 'u64' },
}).functions;

/**
 * Memory shared with the kernel: it never moves and is never freed. It lies below 2 GiB, so that addresses
 * are plain numbers which calls take as i32; a pointer or bigint would cost each call a microsecond. One per
 * thread; untouched pages take no memory.
 */
const base: number = allocate();
const buffer: ArrayBuffer = ffi.toArrayBuffer(BigInt(base), SIZE, false);
export const bytes: Uint8Array = new Uint8Array(buffer);
export const int32: Int32Array = new Int32Array(buffer);

let used = 0;

/** Allocates a piece of the memory permanently and returns its offset; 64-byte aligned. */
export function reserve(size: number): number {
  const offset = used;
  const next = (offset + size + 63) & ~63;
  if (next > SIZE) throw new RangeError(`${size} bytes are too many: ${SIZE - offset} are left`);
  used = next;
  return offset;
}

/** The address for the kernel. */
export function addressOf(offset: number): number {
  return base + offset;
}

/** A view of foreign memory; valid only while that memory is. */
export function viewOf(address: bigint, size: number): ArrayBuffer {
  return ffi.toArrayBuffer(address, size, false);
}

function allocate(): number {
  const found = process.arch === 'x64' ? map(0, MAP_32BIT) : firstFree();
  if (found === undefined) throw new Error('there is no memory below 2 GiB');
  return found;
}

/** Other architectures have no flag for low addresses, but few of them are in use. */
function firstFree(): number | undefined {
  for (let at = 0x1000_0000; at < LIMIT - SIZE; at += 0x0400_0000) {
    const found = map(at, MAP_FIXED_NOREPLACE);
    if (found !== undefined) return found;
  }
  return undefined;
}

function map(at: number, flag: number): number | undefined {
  const address = Number(
    mmap(BigInt(at), BigInt(SIZE), PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS | flag, -1, 0n),
  );
  return address > 0 && address < LIMIT - SIZE ? address : undefined;
}
