import type { Connection } from '../net/engine.ts';
import type { Endpoint } from '../wire/address.ts';
import { encodeProxyHeader } from '../wire/proxy-header.ts';
import type { ProxyAddresses, ProxyHeaderVersion } from '../wire/proxy-header.ts';
import type { Route } from './routes.ts';

/** The PROXY header of connections by a route; without addresses they are garter's own. */
export interface OutgoingProxyHeader {
  readonly version: ProxyHeaderVersion;
  readonly addresses?: ProxyAddresses;
}

/** For a client's connection, or for one of garter's own; `undefined` if the route sends no header. */
export function proxyHeaderFor(
  { sendProxy: version }: Route,
  client?: { readonly remote: Endpoint; readonly local: Endpoint },
): OutgoingProxyHeader | undefined {
  if (version === undefined) return undefined;
  // A client on a unix socket has no address.
  if (client === undefined || client.remote.port === 0) return { version };
  return { version, addresses: { source: client.remote, destination: client.local } };
}

/** Begins a connection, before anything else is sent. */
export function beginWith(header: OutgoingProxyHeader | undefined, connection: Connection): void {
  if (header !== undefined) connection.write(encodeProxyHeader(header.version, header));
}
