import type { Endpoint } from '../net/engine.ts';
import { parseIp } from '../wire/ip.ts';

/** host:port, IPv6 in brackets. */
export function formatEndpoint({ host, port }: Endpoint): string {
  // A peer may send any text as a name, colons too.
  return host.includes(':') && parseIp(host) !== undefined ? `[${host}]:${port}` : `${host}:${port}`;
}
