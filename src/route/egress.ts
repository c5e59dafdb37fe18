import { networkInterfaces } from 'node:os';
import { sourceFor } from '../net/source.ts';
import { familyOf, isLinkLocal, isLoopback } from '../wire/ip.ts';
import type { EgressOptions } from './options.ts';

/** The local address towards a literal one; `undefined` leaves it to the kernel. Throws EADDRNOTAVAIL when there is none of its family. */
export type LocalAddress = (to: string) => string | undefined;

/** `incoming` is where the client has connected to, if there is one. */
export function egressFrom(egress: EgressOptions, incoming: string | undefined): LocalAddress {
  return (to) => {
    const addresses = egress.addresses.flatMap(expand).filter((one) => familyOf(one) === familyOf(to));
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

/** A literal address, or those that an interface has now. Link-local ones lead nowhere by themselves. */
function expand(text: string): readonly string[] {
  const found = networkInterfaces()[text];
  if (found === undefined) return [text];
  return found.map(({ address }) => address).filter((address) => !address.startsWith('fe80:'));
}

function among(addresses: readonly string[], wanted: string | undefined): string | undefined {
  return addresses.find((address) => address === wanted);
}

/** From loopback, and from a network without routes, nothing leads further. */
function isSource(from: string, to: string): boolean {
  if (familyOf(from) !== familyOf(to)) return false;
  if (isLoopback(from)) return isLoopback(to);
  return !isLinkLocal(from) || isLinkLocal(to);
}

function noAddress({ addresses }: EgressOptions, to: string): Error {
  const message = `no address to reach ${to} from among ${addresses.join(', ')}`;
  return Object.assign(new Error(message), { code: 'EADDRNOTAVAIL' });
}
