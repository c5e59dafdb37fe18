import type { DynamicLibraryResult, FunctionDefinitions } from 'node:ffi';

type Ffi = typeof import('node:ffi');

/** Node's FFI, without the warning that it is experimental: whether it can be used is tested at the start. */
export const ffi: Ffi = quietly(() => process.getBuiltinModule('node:ffi'));

/** Opens a library by name, or with `null` what is in this process. Throws when there is none, or not such functions. */
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
