import { ResolveError } from '../resolve/error.ts';
import { ClientSession } from '../session/client.ts';
import type { ClientSessionOptions } from '../session/client.ts';
import { addressOf, AddressType } from '../wire/address.ts';
import type { Address } from '../wire/address.ts';
import { formatIp } from '../wire/ip.ts';
import { Command, Reply } from '../wire/socks5.ts';
import { UpstreamError } from './error.ts';
import type { Link } from './link.ts';
import { isSocks4 } from './options.ts';
import type { ServerOptions } from './options.ts';
import { oneOf, reached } from './reach.ts';
import type { Reach, Reached } from './reach.ts';
import { replyTo } from './reply.ts';
import { greet, nextReply } from './shake.ts';
import { inTime, left, plain } from './trip.ts';
import type { Opened, Request, Trip } from './trip.ts';

/** Reaches one server, and makes a request of it. */
export async function openServer(
  reach: Reach,
  server: ServerOptions,
  request: Request,
  trip: Trip,
): Promise<Opened> {
  const session = sessionFor(server.label, await sessionOptions(server, request, trip));
  const below = await reached(reach, server, trip);
  const { others = [], servers, release } = below;
  const { label } = server;
  const link = linkTo(server, below, trip);
  const stream = link?.connection ?? below.stream;
  const late = (error: () => UpstreamError, after: number): NodeJS.Timeout =>
    setTimeout(() => stream.destroy(error()), after);
  let timer = late(() => isSilent(server), left(trip.patience) / (1 + others.length));
  const stopped = (): void => stream.destroy(trip.signal.reason as Error);
  trip.signal.addEventListener('abort', stopped);
  try {
    trip.signal.throwIfAborted();
    await link?.secured();
    const asked = (): void => {
      clearTimeout(timer);
      timer = late(
        () => new UpstreamError('reply', label, 'ETIMEDOUT', Reply.ttlExpired),
        left(trip.deadline),
      );
    };
    // It has spoken TLS by now, so it is there.
    if (link !== undefined && server.protocol !== 'socks5') asked();
    const { ok, reply, bound } =
      request.greetsOnly === true
        ? await greet(stream, session, label)
        : await nextReply(stream, session, label, asked);
    if (!ok) throw new UpstreamError('reply', label, `reply-${reply}`, reply);
    return { stream, bound: plain(bound), session, servers: [...servers, server], release };
  } catch (error) {
    stream.destroy();
    release();
    const fault = link === undefined ? error : link.explained(error);
    // A name with several addresses may be several machines, of which not all are well.
    const mayTry = others.length > 0 && performance.now() < trip.patience;
    if (mayTry && fault instanceof UpstreamError && fault.trouble === 'unreachable')
      return await openServer(oneOf(others), server, request, trip);
    throw fault;
  } finally {
    clearTimeout(timer);
    trip.signal.removeEventListener('abort', stopped);
  }
}

function linkTo(
  server: ServerOptions,
  { stream, release }: Reached,
  { links, engine }: Trip,
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
  const reply = protocol === 'socks5' ? Reply.generalFailure : Reply.ttlExpired;
  return new UpstreamError('unreachable', label, 'ETIMEDOUT', reply);
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

async function sessionOptions(
  { label, protocol, passesNames, credentials }: ServerOptions,
  { command, destination }: Request,
  trip: Trip,
): Promise<ClientSessionOptions> {
  const shown = credentials === 'client' ? trip.credentials : credentials;
  return {
    protocol,
    command,
    destination: passesNames ? destination : await asAddress(destination, protocol, label, trip),
    ...(shown !== undefined && (isSocks4(protocol) ? { userId: shown.username } : { credentials: shown })),
  };
}

/** The next server's name, for one that takes addresses only. */
async function asAddress(
  destination: Address,
  protocol: ServerOptions['protocol'],
  label: string,
  trip: Trip,
): Promise<Address> {
  if (destination.type !== AddressType.name) return destination;
  const family = isSocks4(protocol) ? 'ipv4' : 'any';
  const { resolver, client: source, signal } = trip;
  try {
    const [ip] = await inTime(resolver.resolve(destination.host, { family, source, signal }), trip);
    return addressOf(formatIp(ip!), destination.port);
  } catch (error) {
    if (!(error instanceof ResolveError)) throw error;
    // One that takes names would need none.
    throw new UpstreamError('unable', label, error.code, replyTo(error.code), error);
  }
}
