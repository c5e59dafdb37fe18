import type { Endpoint } from '../net/engine.ts';

/** host:port, IPv6 in brackets. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
