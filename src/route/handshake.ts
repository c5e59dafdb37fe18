import { ClientHandshake } from '../handshake/client.ts';
import type { ClientHandshakeOptions } from '../handshake/protocol.ts';
import { addressOf } from '../wire/address.ts';
import { isWildcard, parseIp, unmapped, unspecified } from '../wire/ip.ts';
import { Command, Reply } from '../wire/socks5.ts';
import type { DialContext, Opened, Request } from './dial-context.ts';
import { UpstreamError } from './error.ts';
import { isSocks4 } from './options.ts';
import type { ServerOptions } from './options.ts';

/** The handshake that makes a request of a server, with the credentials that it is to see. */
export function handshakeOptions(
  { protocol, credentials }: ServerOptions,
  { command, destination }: Request,
  context: DialContext,
): ClientHandshakeOptions {
  const shown = credentials === 'client' ? context.credentials : credentials;
  return {
    protocol,
    command,
    destination,
    ...(shown !== undefined && (isSocks4(protocol) ? { userId: shown.username } : { credentials: shown })),
  };
}

/** Not every protocol can carry everything: SOCKS4 has no IPv6, HTTP nothing but CONNECT. */
export function handshakeFor(label: string, options: ClientHandshakeOptions): ClientHandshake {
  try {
    return new ClientHandshake(options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const [code, reply] =
      options.protocol === 'http' && options.command !== Command.connect
        ? (['command', Reply.commandNotSupported] as const)
        : (['address-type', Reply.addressTypeNotSupported] as const);
    throw new UpstreamError('unable', label, code, reply, error);
  }
}

/**
 * Gives an unspecified destination the family of the connection to the server, because some servers refuse
 * the other one. `undefined` where nothing changes.
 */
export function handshakeOver(
  { stream, servers }: Pick<Opened, 'stream' | 'servers'>,
  { at, protocol }: ServerOptions,
  options: ClientHandshakeOptions,
): ClientHandshake | undefined {
  const { host, port } = options.destination;
  if (protocol !== 'socks5' || !isWildcard(host)) return undefined;
  // How the server before it connected is unknown, unless its own address is a literal.
  const peer = parseIp(servers.length === 0 ? stream.remote.host : at.host);
  const family = peer === undefined ? 4 : unmapped(peer).family;
  if (host === unspecified(family)) return undefined;
  return new ClientHandshake({ ...options, destination: addressOf(unspecified(family), port) });
}
