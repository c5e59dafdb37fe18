import { embeddedIpv4, unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import type { AddressSet } from './addresses.ts';
import type { Nat64 } from './nat64.ts';
import type { LocalAddresses } from './policy.ts';

/** A destination address in the form that rules compare. */
export interface Classified {
  readonly ip: Ip;
  /** The IPv4 address that it leads to through NAT64 or 6to4. */
  readonly inside: Ip | undefined;
  /** The configuration declares it translated to `inside`: allowing rules, too, then compare `inside`. */
  readonly translated: boolean;
  /** Whether it is an address of this machine. */
  readonly self: boolean;
  readonly insideSelf: boolean;
  /** Whether an allowing rule must name it, for itself or for the address it leads to. */
  readonly special: boolean;
}

/** Normalises a destination address for rules and routes, so that no spelling bypasses them. */
export function classify(
  address: Ip,
  special: AddressSet,
  nat64: Nat64,
  surroundings: LocalAddresses,
): Classified {
  const ip = unmapped(address);
  const translation = nat64.translate(ip);
  const inside = translation ?? embeddedIpv4(ip);
  const self = surroundings.isSelf(ip);
  const insideSelf = inside !== undefined && surroundings.isSelf(inside);
  return {
    ip,
    inside,
    translated: translation !== undefined,
    self,
    insideSelf,
    special: self || insideSelf || special.has(inside ?? ip),
  };
}
