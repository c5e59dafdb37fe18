import { AddressSet, parseAddressRange } from '../../policy/addresses.ts';
import type { Outbound, OutboundClient } from '../../route/outbound.ts';
import type { Endpoint } from '../../wire/address.ts';
import { familyOf, formatIp, ipOf } from '../../wire/ip.ts';
import type { Advertised } from '../settings.ts';

/**
 * The address to report to this client for a port of this machine, when its network knows the machine by
 * another one. A name is resolved each time: the address behind it may change.
 */
export async function advertisedAt(
  { host, port }: Endpoint,
  client: Pick<OutboundClient, 'ip' | 'asker' | 'signal'>,
  advertise: readonly Advertised[],
  { outbound }: { readonly outbound: Pick<Outbound, 'lookUp'> },
): Promise<Endpoint> {
  const found = advertise.find(({ network }) =>
    AddressSet.of([parseAddressRange(network)!]).has(client.ip),
  )?.address;
  if (found === undefined) return { host, port };
  if (ipOf(found) !== undefined) return { host: found, port };
  const addresses = await outbound.lookUp(found, undefined, client);
  const family = familyOf(host);
  return { host: formatIp(addresses.find((ip) => ip.family === family) ?? addresses[0]!), port };
}
