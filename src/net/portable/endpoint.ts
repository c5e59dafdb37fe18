import type { Endpoint } from '../engine.ts';
import { formatIp, parseIp } from '../../wire/ip.ts';

/**
 * An endpoint in the spelling of the rest of the house: IPv6 as in RFC 5952 and without a zone, an IPv4 peer of a
 * dual-stack socket as its dotted quad.
 */
export function endpoint(address: string, port: number): Endpoint {
  if (!address.includes(':')) return { host: address, port };
  const ip = parseIp(address.replace(/%.*/, ''));
  if (ip === undefined) return { host: address, port };
  const [a, b, c, d] = ip.words;
  const mapped = a === 0 && b === 0 && c === 0xffff;
  return { host: formatIp(mapped ? { family: 4, words: [0, 0, 0, d] } : ip), port };
}
