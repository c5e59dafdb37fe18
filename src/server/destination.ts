import { isNumericName, parseName } from '../policy/names.ts';
import type { Destination } from '../policy/policy.ts';
import type { Address } from '../wire/address.ts';
import { AddressType } from '../wire/address.ts';
import { isWildcard, parseIp, unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { Reply } from '../wire/socks5.ts';
import { Failure } from './failure.ts';

/**
 * The destination of a request, as rules see it. A literal address that was sent as a name, as Chromium does,
 * is an address; a name is converted to lower case and ASCII (RFC 5891), and loses its trailing dot.
 */
export function destinationOf(address: Address): Destination {
  const { host, port } = address;
  if (address.type !== AddressType.name) return ipDestination(parseIp(host)!, port);
  const literal = parseIp(host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host);
  if (literal !== undefined) return ipDestination(literal, port);
  const name = parseName(host);
  if (name === undefined) throw new Failure('client', 'request', 'bad-name', Reply.hostUnreachable);
  // 127.1 or 0x7f.1: some programs parse it as a name, others as an address.
  if (isNumericName(name)) throw Failure.refusal('numeric-name');
  return { type: 'name', name, port };
}

/** 0.0.0.0, :: or an empty name: the client leaves it open. */
export function isUnspecified(address: Address): boolean {
  return isWildcard(address.host) || address.host === '';
}

function ipDestination(ip: Ip, port: number): Destination {
  return { type: 'ip', ip: unmapped(ip), port };
}
