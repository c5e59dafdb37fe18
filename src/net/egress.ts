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

/** The local addresses of outgoing connections. */
export interface EgressOptions {
  /**
   * Literal addresses, and names of network interfaces, which mean their current addresses: connections from
   * these are bound to the interface.
   */
  readonly addresses: readonly string[];
  /**
   * Which address of a family to use: the first; the one the kernel would use for the destination, if listed;
   * the one that the client has connected to, if listed; or a random one.
   */
  readonly rotate: 'none' | 'route' | 'same-as-incoming' | 'random';
}

/**
 * The local address to bind for a literal destination, with the interface to bind to as its zone; `undefined`
 * leaves the choice to the kernel. Throws EADDRNOTAVAIL when there is none of that family.
 */
export type LocalAddress = (to: string) => string | undefined;

/** `incoming`: the address that the client has connected to, if any. */
export function egressFrom(egress: EgressOptions, incoming: string | undefined): LocalAddress {
  return (to) => {
    const addresses = egress.addresses
      .flatMap((one) => expand(one, to))
      .filter((one) => familyOf(one) === familyOf(to));
    const [first] = addresses;
    const same = incoming !== undefined && isSource(incoming, to) ? incoming : undefined;
    // Without a list, any address that the client could reach is acceptable.
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
 * The address to bind for another socket to leave like a connection that was made with this egress and has
 * this local address. Throws EADDRNOTAVAIL when the interface no longer has it.
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

/** Whether the interface named by a local address still has it; true if it names none. */
export function isThere(local: string): boolean {
  const device = zoneOf(local);
  return device === undefined || expand(device, local).includes(local);
}

/** The first entry that names a network interface rather than an address. */
export function deviceIn({ addresses }: EgressOptions): string | undefined {
  return addresses.find((one) => ipOf(one) === undefined);
}

/**
 * A literal address, or the current addresses of an interface. Link-local destinations are only reachable
 * from link-local addresses of the same link, and the reverse.
 */
function expand(text: string, to: string): readonly string[] {
  if (ipOf(text) !== undefined) return [text];
  return (
    (networkInterfaces()[text] ?? [])
      .filter(({ address }) => needsZone(address) === needsZone(to))
      // Traffic for this machine would leave through the interface.
      .filter(({ address }) => isLoopback(address) || !isLoopback(to))
      .map(({ address }) => withZone(withoutZone(address), text))
  );
}

function among(addresses: readonly string[], wanted: string | undefined): string | undefined {
  return wanted && addresses.find((address) => withoutZone(address) === withoutZone(wanted));
}

/** Nothing beyond them can be reached from loopback, or from a link-local address. */
function isSource(from: string, to: string): boolean {
  if (familyOf(from) !== familyOf(to)) return false;
  if (isLoopback(from)) return isLoopback(to) || isWildcard(to);
  return !isLinkLocal(from) || isLinkLocal(to);
}

function noAddress({ addresses }: EgressOptions, to: string): Error {
  const message = `no address from which to reach ${to} among ${addresses.join(', ')}`;
  return Object.assign(new Error(message), { code: 'EADDRNOTAVAIL' });
}
