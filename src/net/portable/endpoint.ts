import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Endpoint } from '../../wire/address.ts';
import { formatIp, ipOf, needsZone, unmapped, withoutZone, withZone, zoneOf } from '../../wire/ip.ts';

/**
 * An endpoint in garter's notation: IPv6 as in RFC 5952, with a zone if Node reports one; an IPv4 peer of a
 * dual-stack socket as a dotted quad.
 */
export function endpoint(address: string, port: number): Endpoint {
  if (!address.includes(':')) return { host: address, port };
  const ip = ipOf(address);
  if (ip === undefined) return { host: address, port };
  return { host: withZone(formatIp(unmapped(ip)), zoneOf(address)), port };
}

/**
 * A literal address in a form that Node accepts: a zone with an underscore or @ becomes a number. Throws for
 * an address bound to a network interface, which Node does not support.
 */
export function forNode(host: string): string {
  const zone = zoneOf(host);
  if (zone === undefined) return host;
  if (!needsZone(host))
    throw Object.assign(new Error(`bind ENOTSUP ${host}`), { code: 'ENOTSUP', syscall: 'bind' });
  if (isIP(host) !== 0) return host;
  const found = networkInterfaces()[zone]?.find(({ family }) => family === 'IPv6');
  return found?.scopeid === undefined ? host : withZone(withoutZone(host), `${found.scopeid}`);
}
