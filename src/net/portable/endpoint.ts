import type { Endpoint } from '../engine.ts';
import { formatIp, parseIp, unmapped } from '../../wire/ip.ts';

/**
 * An endpoint in the spelling of the rest of the house: IPv6 as in RFC 5952 and without a zone, an IPv4 peer of a
 * dual-stack socket as its dotted quad.
 */
export function endpoint(address: string, port: number): Endpoint {
  if (!address.includes(':')) return { host: address, port };
  const ip = parseIp(address.replace(/%.*/, ''));
  if (ip === undefined) return { host: address, port };
  return { host: formatIp(unmapped(ip)), port };
}
