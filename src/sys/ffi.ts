import type { DynamicLibraryResult, FunctionDefinitions } from 'node:ffi';

type Ffi = typeof import('node:ffi');

/** Node's FFI, without its warning about being experimental: `probe` checks that it works. */
export const ffi: Ffi = quietly(() => process.getBuiltinModule('node:ffi'));

/**
 * Opens a library by name, or the process itself with `null`. Throws when the library or one of the functions
 * does not exist.
 */
export function open<const T extends FunctionDefinitions>(
  name: string | null,
  functions: T,
): DynamicLibraryResult<T> {
  return ffi.dlopen(name, functions);
}

function quietly(load: () => Ffi | undefined): Ffi {
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = () => {};
  try {
    const loaded = load();
    if (loaded === undefined) throw new Error('this Node has no node:ffi');
    return loaded;
  } finally {
    process.emitWarning = emitWarning;
  }
}
