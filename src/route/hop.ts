import { ResolveError } from '../resolve/error.ts';
import { ClientSession } from '../handshake/client.ts';
import type { ClientSessionOptions } from '../handshake/client.ts';
import { addressOf, AddressType } from '../wire/address.ts';
import { isWildcard, parseIp, unmapped, unspecified } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { Command, Reply } from '../wire/socks5.ts';
import { firstFromThere } from './addresses.ts';
import { UpstreamError } from './error.ts';
import type { Link } from './link.ts';
import { isSocks4 } from './options.ts';
import type { ServerOptions } from './options.ts';
import { oneOf, reached } from './reach.ts';
import type { Reach, Reached } from './reach.ts';
import { replyTo } from './reply.ts';
import { greet, nextReply } from './driver.ts';
import { withTimeout, remaining, normalised } from './dial-context.ts';
import type { Opened, Request, DialContext } from './dial-context.ts';

/** Reaches one server, and makes a request of it. */
export async function openServer(
  reach: Reach,
  server: ServerOptions,
  request: Request,
  context: DialContext,
): Promise<Opened> {
  const { label } = server;
  const { destination } = request;
  if (destination.type === AddressType.name && !server.passesNames)
    return firstFromThere(await addressesFor(server, destination.host, context), (host) => {
      const asked = { ...request, destination: addressOf(host, destination.port) };
      return openServer(reach, server, asked, context);
    });
  const options = sessionOptions(server, request, context);
  // What it cannot carry is known before it is reached.
  const able = sessionFor(label, options);
  const below = await reached(reach, server, context);
  const { others = [], servers, release } = below;
  const session = sessionOver(below, server, options) ?? able;
  const link = linkTo(server, below, context);
  const stream = link?.connection ?? below.stream;
  const late = (error: () => UpstreamError, after: number): NodeJS.Timeout =>
    setTimeout(() => stream.destroy(error()), after);
  let timer = late(() => isSilent(server), remaining(context.hopDeadline) / (1 + others.length));
  const stopped = (): void => stream.destroy(context.signal.reason as Error);
  context.signal.addEventListener('abort', stopped);
  try {
    context.signal.throwIfAborted();
    await link?.secured();
    const asked = (): void => {
      clearTimeout(timer);
      timer = late(
        () => new UpstreamError('reply', label, 'ETIMEDOUT', Reply.ttlExpired),
        remaining(context.deadline),
      );
    };
    // It has spoken TLS by now, so it is there.
    if (link !== undefined && server.protocol !== 'socks5') asked();
    const { ok, reply, bound } =
      request.greetsOnly === true
        ? await greet(stream, session, label)
        : await nextReply(stream, session, label, asked);
    if (!ok) throw new UpstreamError('reply', label, `reply-${reply}`, reply);
    return { stream, bound: normalised(bound), session, servers: [...servers, server], release };
  } catch (error) {
    stream.destroy();
    release();
    const fault = link === undefined ? error : link.explained(error);
    // A name with several addresses may be several machines, of which not all are well.
    const mayTry = others.length > 0 && performance.now() < context.hopDeadline;
    if (mayTry && fault instanceof UpstreamError && isWorthAnother(fault))
      return await openServer(oneOf(others), server, request, context);
    throw fault;
  } finally {
    clearTimeout(timer);
    context.signal.removeEventListener('abort', stopped);
  }
}

function linkTo(
  server: ServerOptions,
  { stream, release }: Reached,
  { links, engine }: DialContext,
): Link | undefined {
  try {
    return server.tls && links.begin(stream, server, server.tls, engine);
  } catch (error) {
    stream.destroy();
    release();
    throw error;
  }
}

/** One that speaks SOCKS5 had only to answer a greeting; where the request comes first, the destination may be to blame as well. */
function isSilent({ protocol, label }: ServerOptions): UpstreamError {
  return protocol === 'socks5'
    ? new UpstreamError('unreachable', label, 'ETIMEDOUT')
    : new UpstreamError('silent', label, 'ETIMEDOUT', Reply.ttlExpired);
}

function isWorthAnother({ trouble }: UpstreamError): boolean {
  return trouble === 'unreachable' || trouble === 'silent';
}

/** Not every protocol carries everything: SOCKS4 no IPv6, HTTP nothing but CONNECT. */
function sessionFor(label: string, options: ClientSessionOptions): ClientSession {
  try {
    return new ClientSession(options);
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
 * The unspecified address, which says that there is nothing to say, has the family of the connection to the server: some refuse
 * the other one. `undefined` where it is right as it is.
 */
function sessionOver(
  { stream, servers }: Reached,
  { at, protocol }: ServerOptions,
  options: ClientSessionOptions,
): ClientSession | undefined {
  const { host, port } = options.destination;
  if (protocol !== 'socks5' || !isWildcard(host)) return undefined;
  // How the server before it has got there is not known: by its address, if that is one.
  const peer = parseIp(servers.length === 0 ? stream.remote.host : at.host);
  const family = peer === undefined ? 4 : unmapped(peer).family;
  if (host === unspecified(family)) return undefined;
  return new ClientSession({ ...options, destination: addressOf(unspecified(family), port) });
}

function sessionOptions(
  { protocol, credentials }: ServerOptions,
  { command, destination }: Request,
  context: DialContext,
): ClientSessionOptions {
  const shown = credentials === 'client' ? context.credentials : credentials;
  return {
    protocol,
    command,
    destination,
    ...(shown !== undefined && (isSocks4(protocol) ? { userId: shown.username } : { credentials: shown })),
  };
}

/** The next server's name, for one that takes addresses only. */
async function addressesFor(
  { protocol, label }: ServerOptions,
  name: string,
  context: DialContext,
): Promise<readonly Ip[]> {
  const family = isSocks4(protocol) ? 'ipv4' : 'any';
  const { resolver, source, signal } = context;
  try {
    return await withTimeout(resolver.resolve(name, { family, source, signal }), context);
  } catch (error) {
    if (!(error instanceof ResolveError)) throw error;
    // One that takes names would need none.
    throw new UpstreamError('unable', label, error.code, replyTo(error.code), error);
  }
}
