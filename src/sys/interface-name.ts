import { libc } from './libc.ts';
import { addressOf, bytes, reserve } from './memory.ts';

/** Bytes of the longest name of an interface, with the NUL behind it. */
const NAME_LIMIT = 16;

const name = reserve(NAME_LIMIT);
/** Where `putName` leaves a name. */
export const NAME: number = addressOf(name);
export const NAME_SIZE: number = NAME_LIMIT;

/** Puts the name of an interface where a call can take it; false when it is too long to be one. */
export function putName(interfaceName: string): boolean {
  const encoded = new TextEncoder().encode(interfaceName);
  if (encoded.length === 0 || encoded.length >= NAME_LIMIT) return false;
  bytes.fill(0, name, name + NAME_LIMIT);
  bytes.set(encoded, name);
  return true;
}

/** The number of an interface; 0 when there is none. One that is made again has another, so it is asked for each time. */
export function numberOf(interfaceName: string): number {
  return putName(interfaceName) ? libc.if_nametoindex(NAME) : 0;
}

/** The name of an interface, or its number where it has gone. */
export function nameOf(number: number): string {
  if (libc.if_indextoname(number, NAME) === 0) return String(number);
  const end = bytes.indexOf(0, name);
  return new TextDecoder().decode(bytes.slice(name, end));
}
