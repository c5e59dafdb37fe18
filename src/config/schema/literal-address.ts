import { networkInterfaces } from 'node:os';
import { formatIp, ipOf, needsZone, withoutZone, zoneOf } from '../../wire/ip.ts';
import { quote, ValueError } from '../source/value-error.ts';

/** The names that Linux accepts for network interfaces. */
export const INTERFACE: RegExp = /^[\w@-][\w.@-]{0,14}$/;

/**
 * A literal address to be bound or reached from this machine: in canonical form, and with a zone if
 * link-local. `undefined` if it is not an address. Throws a ValueError when the zone is missing or
 * superfluous.
 */
export function literalAddress(written: string): string | undefined {
  const ip = ipOf(written);
  if (ip === undefined) return undefined;
  const host = formatIp(ip);
  const zone = zoneOf(written);
  if (!needsZone(host)) {
    if (zone === undefined) return host;
    throw new ValueError(
      `${quote(written)}: only a link-local IPv6 address has a zone`,
      `write ${host} alone`,
    );
  }
  if (zone !== undefined && INTERFACE.test(zone)) return `${host}%${zone}`;
  throw new ValueError(
    zone === undefined
      ? `${quote(written)} is link-local, but does not say on which interface`
      : `${quote(zone)} is not the name of a network interface`,
    `write it with its interface: ${host}%${interfaceWith(host)}`,
  );
}

/** The interface that has this address, or an example. */
function interfaceWith(host: string): string {
  const found = Object.entries(networkInterfaces()).find(([, list = []]) =>
    list.some(({ address }) => withoutZone(address) === host),
  );
  return found?.[0] ?? 'eth0';
}
