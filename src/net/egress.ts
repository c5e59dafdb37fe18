import { networkInterfaces } from 'node:os';
import {
  familyOf,
  ipOf,
  isLinkLocal,
  isLoopback,
  isWildcard,
  needsZone,
  withoutZone,
  withZone,
  zoneOf,
} from '../wire/ip.ts';
import { sourceFor } from './source.ts';

/** Which local address connections come from. */
export interface EgressOptions {
  /** Literal addresses, and names of network interfaces for the addresses they have at the time: what comes from these stays there. */
  readonly addresses: readonly string[];
  /**
   * Which of several of a family: the first; what the kernel would take towards the destination, if it is among them; the one
   * that the client had connected to, if it is; or any.
   */
  readonly rotate: 'none' | 'route' | 'same-as-incoming' | 'random';
}

/**
 * The local address to bind towards a literal one, with the interface that it has to stay on as its zone; `undefined` leaves it to
 * the kernel. Throws EADDRNOTAVAIL when there is none of its family.
 */
export type LocalAddress = (to: string) => string | undefined;

/** `incoming` is where the client has connected to, if there is one. */
export function egressFrom(egress: EgressOptions, incoming: string | undefined): LocalAddress {
  return (to) => {
    const addresses = egress.addresses
      .flatMap((one) => expand(one, to))
      .filter((one) => familyOf(one) === familyOf(to));
    const [first] = addresses;
    const same = incoming !== undefined && isSource(incoming, to) ? incoming : undefined;
    // Without a list, any address that the client could reach will do.
    if (egress.addresses.length === 0) return same;
    if (first === undefined) throw noAddress(egress, to);
    switch (egress.rotate) {
      case 'none':
        return first;
      case 'random':
        return addresses[Math.floor(Math.random() * addresses.length)];
      case 'route':
        return among(addresses, sourceFor(to)) ?? first;
      case 'same-as-incoming':
        return among(addresses, same) ?? first;
      default:
        return egress.rotate satisfies never;
    }
  };
}

/**
 * What another socket has to bind to leave as a connection does that was made by this egress and has this local address. Throws
 * EADDRNOTAVAIL when that is there no more.
 */
export function alongside(egress: EgressOptions, local: string): string {
  const { addresses } = egress;
  if (addresses.length === 0 || addresses.includes(local)) return local;
  const device = addresses.find((one) =>
    expand(one, local).some((each) => withoutZone(each) === withoutZone(local)),
  );
  if (device === undefined) throw noAddress(egress, local);
  return withZone(local, device);
}

/** Whether the interface that a local address names has it still; true where it names none. */
export function isThere(local: string): boolean {
  const device = zoneOf(local);
  return device === undefined || expand(device, local).includes(local);
}

/** The first of these that names a network interface, not an address. */
export function deviceIn({ addresses }: EgressOptions): string | undefined {
  return addresses.find((one) => ipOf(one) === undefined);
}

/** A literal address, or those that an interface has now. From a link-local one only the same link is reached, and only from such a one. */
function expand(text: string, to: string): readonly string[] {
  if (ipOf(text) !== undefined) return [text];
  return (
    (networkInterfaces()[text] ?? [])
      .filter(({ address }) => needsZone(address) === needsZone(to))
      // What is for this machine would leave by the wire.
      .filter(({ address }) => isLoopback(address) || !isLoopback(to))
      .map(({ address }) => withZone(withoutZone(address), text))
  );
}

function among(addresses: readonly string[], wanted: string | undefined): string | undefined {
  return wanted && addresses.find((address) => withoutZone(address) === withoutZone(wanted));
}

/** From loopback, and from a network without routes, nothing leads further. */
function isSource(from: string, to: string): boolean {
  if (familyOf(from) !== familyOf(to)) return false;
  if (isLoopback(from)) return isLoopback(to) || isWildcard(to);
  return !isLinkLocal(from) || isLinkLocal(to);
}

function noAddress({ addresses }: EgressOptions, to: string): Error {
  const message = `no address from which to reach ${to} among ${addresses.join(', ')}`;
  return Object.assign(new Error(message), { code: 'EADDRNOTAVAIL' });
}
