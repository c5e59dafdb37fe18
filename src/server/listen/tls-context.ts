import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { ListenerSettings } from '../settings.ts';

/** What the connections of a TLS listener share. */
export interface ListenerTls {
  readonly context: SecureContext;
  /** Clients are asked for a certificate. */
  readonly asks: boolean;
  /** Names of protocols (ALPN). */
  readonly protocols: readonly string[];
}

/** `undefined` for a listener without TLS. Throws OpenSSL's error for what the configuration has let pass. */
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
      // Node resumes no session with a certificate without one; the ticket keys are what tells listeners apart.
      sessionIdContext: 'garter',
    }),
    asks: clientCa !== undefined,
    protocols: [
      ...(protocols.includes('http') ? ['http/1.1'] : []),
      ...(protocols.some((one) => one !== 'http') ? ['socks'] : []),
    ],
  };
}
