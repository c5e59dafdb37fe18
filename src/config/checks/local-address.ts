import { networkInterfaces } from 'node:os';
import { isWildcard, withoutZone } from '../../wire/ip.ts';

/** Whether this machine has an address now; it may appear later, with its interface. */
export function hasAddress(address: string): boolean {
  // All of 127.0.0.0/8 is local, although only 127.0.0.1 is listed.
  if (isWildcard(address) || address.startsWith('127.')) return true;
  return localAddresses().includes(withoutZone(address));
}

/** The addresses of this machine, without zones. */
export function localAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? []);
}
