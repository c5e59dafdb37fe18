import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { ListenerSettings } from '../settings.ts';

/** State shared by the connections of a TLS listener. */
export interface ListenerTls {
  readonly context: SecureContext;
  /** Whether clients are asked for a certificate. */
  readonly asks: boolean;
  /** Protocol names (ALPN). */
  readonly protocols: readonly string[];
}

/**
 * `undefined` for a listener without TLS. Throws OpenSSL's error for anything that validation of the
 * configuration has missed.
 */
export function listenerTls({ tls, protocols }: ListenerSettings): ListenerTls | undefined {
  if (tls === undefined) return undefined;
  const { cert, key, clientCa, ticketKeys } = tls;
  return {
    context: createSecureContext({
      minVersion: 'TLSv1.3',
      cert,
      key,
      ca: clientCa ?? [],
      ticketKeys: Buffer.from(ticketKeys),
      // Without a context, Node resumes no session that has a certificate; it distinguishes listeners by their
      // ticket keys.
      sessionIdContext: 'garter',
    }),
    asks: clientCa !== undefined,
    protocols: [
      ...(protocols.includes('http') ? ['http/1.1'] : []),
      ...(protocols.some((one) => one !== 'http') ? ['socks'] : []),
    ],
  };
}
