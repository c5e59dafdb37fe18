import type { ListenerSettings } from '../../server/settings.ts';
import { isLoopback } from '../../wire/ip.ts';
import type { Placed, Reports } from '../source/problem.ts';

/**
 * Marks the listeners that serve proxy.pac to browsers: those reachable only from this machine, without TLS.
 */
export function markPac(
  listeners: readonly Placed<ListenerSettings>[],
  wanted: boolean,
  { error }: Pick<Reports, 'error'>,
): readonly ListenerSettings[] {
  const all = listeners.map(({ made }) => made);
  if (!wanted) return all;
  const marked = all.map((one) => (isForBrowsers(one) ? { ...one, pac: true as const } : one));
  if (all.length > 0 && !marked.some(({ pac }) => pac))
    error(
      ['pac'],
      'no listener is only for browsers on this machine',
      'add one on 127.0.0.1, or remove pac',
      'key',
    );
  return marked;
}

/** proxy.pac names the port as SOCKS, which is not encrypted. */
function isForBrowsers({ address, tls }: ListenerSettings): boolean {
  return tls === undefined && 'host' in address && isLoopback(address.host);
}
