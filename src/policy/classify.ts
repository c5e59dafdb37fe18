import { embeddedIpv4, unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import type { AddressSet } from './addresses.ts';
import type { Nat64 } from './nat64.ts';
import type { LocalAddresses } from './policy.ts';

/** The address of a destination as rules judge it. */
export interface Classified {
  readonly ip: Ip;
  /** The IPv4 address that it leads to: by NAT64 or 6to4. */
  readonly inside: Ip | undefined;
  /** The configuration says that it is translated to `inside`: then it stands for that, in allowing rules too. */
  readonly translated: boolean;
  /** An address of this machine. */
  readonly self: boolean;
  readonly insideSelf: boolean;
  /** One that an allowing rule must name, itself or what it leads to. */
  readonly special: boolean;
}

/** What rules and routes compare of a destination's address, so that no spelling goes around them. */
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
