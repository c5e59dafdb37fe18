import { libc } from './libc.ts';
import { addressOf, bytes, reserve } from './memory.ts';

/** The longest interface name in bytes, including the NUL. */
const NAME_LIMIT = 16;

const name = reserve(NAME_LIMIT);
/** The address that `putName` writes a name to. */
export const NAME: number = addressOf(name);
export const NAME_SIZE: number = NAME_LIMIT;

/** Stores the name of an interface for a call; false when it is empty or too long. */
export function putName(interfaceName: string): boolean {
  const encoded = new TextEncoder().encode(interfaceName);
  if (encoded.length === 0 || encoded.length >= NAME_LIMIT) return false;
  bytes.fill(0, name, name + NAME_LIMIT);
  bytes.set(encoded, name);
  return true;
}

/**
 * The index of an interface; 0 when there is none. A recreated interface has another index, so it is never
 * cached.
 */
export function numberOf(interfaceName: string): number {
  return putName(interfaceName) ? libc.if_nametoindex(NAME) : 0;
}

/** The name of an interface, or its index if it no longer exists. */
export function nameOf(number: number): string {
  if (libc.if_indextoname(number, NAME) === 0) return String(number);
  const end = bytes.indexOf(0, name);
  return new TextDecoder().decode(bytes.slice(name, end));
}
