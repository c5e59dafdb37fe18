import { race } from './race.ts';
import { ClientSession } from '../session/client.ts';
import type { ClientSessionOptions } from '../session/client.ts';
import { addressOf, AddressType } from '../wire/address.ts';
import type { Address } from '../wire/address.ts';
import { formatIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { Command, Reply } from '../wire/socks5.ts';
import { ResolveError } from '../resolve/error.ts';
import { UpstreamError } from './error.ts';
import { candidates } from './group.ts';
import type { Link } from './link.ts';
import type {
  ChainOptions,
  DiscoverOptions,
  GroupOptions,
  ServerOptions,
  UpstreamOptions,
} from './options.ts';
import { isShortage, replyTo } from './reply.ts';
import { greet, nextReply } from './shake.ts';
import type { Opened, Request, Trip } from './trip.ts';

/** Milliseconds within which a server that is well can be expected to answer. */
const FAIR = 1000;

/** How a server is reached: from here, or through the servers before it. */
type Reach = (server: ServerOptions, trip: Trip) => Promise<Reached>;

interface Reached extends Omit<Opened, 'bound' | 'session'> {
  /** Addresses of the server that are still to be tried. */
  readonly others?: readonly Ip[];
}

/**
 * Makes a request of the server at the end of a way. Rejects with an UpstreamError, a ResolveError for a name that has to
 * become an address here, or the signal's reason.
 */
export function open(way: UpstreamOptions, request: Request, trip: Trip): Promise<Opened> {
  return openFrom(directly, way, request, trip);
}

function openFrom(reach: Reach, way: UpstreamOptions, request: Request, trip: Trip): Promise<Opened> {
  switch (way.type) {
    case 'server':
      return openServer(reach, way, request, trip);
    case 'group':
      return openGroup(reach, way, request, trip);
    case 'discover':
      return openDiscovered(reach, way, request, trip);
    case 'chain':
      return openChain(reach, way, request, trip);
    default:
      return way satisfies never;
  }
}

function openChain(reach: Reach, { hops }: ChainOptions, request: Request, trip: Trip): Promise<Opened> {
  let reachLast = reach;
  for (const hop of hops.slice(0, -1)) reachLast = through(reachLast, hop);
  return openFrom(reachLast, hops.at(-1)!, request, trip);
}

/** Reaches a server by CONNECT through a way. */
function through(reach: Reach, way: UpstreamOptions): Reach {
  return (server, trip) => {
    const { at } = server;
    const request = { command: Command.connect, destination: addressOf(at.host, at.port) };
    // It is to be reached while the patience lasts.
    return openFrom(reach, way, request, { ...trip, deadline: trip.patience });
  };
}

/** One member after the other, until one is reached, able and understands. */
async function openGroup(reach: Reach, group: GroupOptions, request: Request, trip: Trip): Promise<Opened> {
  const { health } = trip;
  const members = candidates(group, trip.client, health).slice(0, group.tries);
  let last: unknown;
  for (const [i, way] of members.entries()) {
    const now = performance.now();
    const patience = now + (trip.patience - now) / (members.length - i);
    const leave = health.enter(way.label);
    try {
      const opened = await openFrom(reach, way, request, { ...trip, patience });
      health.succeeded(way.label, group.health);
      return { ...opened, release: joined(leave, opened.release) };
    } catch (error) {
      leave();
      if (!(error instanceof UpstreamError)) throw error;
      // It was reached, and it has understood.
      if (error.trouble === 'reply' && error.code !== 'ETIMEDOUT') health.succeeded(way.label, group.health);
      if (error.trouble === 'refused' || error.trouble === 'reply') throw error;
      // One that had hardly any time left may be well.
      if (error.trouble === 'unreachable' && patience - now >= FAIR)
        health.failed(way.label, group.health, error.code);
      last = error;
    }
  }
  throw last;
}

async function openDiscovered(
  reach: Reach,
  way: DiscoverOptions,
  request: Request,
  trip: Trip,
): Promise<Opened> {
  const { discovery, resolver, client, signal } = trip;
  const group = await inTime(discovery.group(way, resolver, { source: client, signal }), trip);
  return openGroup(reach, group, request, trip);
}

async function openServer(
  reach: Reach,
  server: ServerOptions,
  request: Request,
  trip: Trip,
): Promise<Opened> {
  const { label } = server;
  const { others = [], ...below } = await reached(reach, server, trip);
  const patience = left(trip.patience) / (1 + others.length);
  const link = linkTo(server, below, trip);
  const stream = link?.connection ?? below.stream;
  // Until the request is on its way, silence is the server's; after that it may be the destination's.
  const late = (error: UpstreamError) => (): void => stream.destroy(error);
  let timer = setTimeout(late(new UpstreamError('unreachable', label, 'ETIMEDOUT')), patience);
  const stopped = (): void => stream.destroy(trip.signal.reason as Error);
  trip.signal.addEventListener('abort', stopped);
  try {
    trip.signal.throwIfAborted();
    await link?.secured();
    const session = sessionFor(label, await sessionOptions(server, request, trip));
    const asked = (): void => {
      clearTimeout(timer);
      timer = setTimeout(
        late(new UpstreamError('reply', label, 'ETIMEDOUT', Reply.ttlExpired)),
        left(trip.deadline),
      );
    };
    const { ok, reply, bound } =
      request.greetsOnly === true
        ? await greet(stream, session, label)
        : await nextReply(stream, session, label, asked);
    if (!ok) throw new UpstreamError('reply', label, `reply-${reply}`, reply);
    return { ...below, stream, bound, session, servers: [...below.servers, server] };
  } catch (error) {
    stream.destroy();
    below.release();
    const fault = link === undefined ? error : link.explained(error);
    // A name with several addresses may be several machines, of which not all are well.
    if (others.length > 0 && fault instanceof UpstreamError && fault.trouble === 'unreachable')
      return await openServer(among(others), server, request, trip);
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

/** Whatever keeps a server from being reached, another server may do, but for what a server on the way there has refused. */
async function reached(reach: Reach, server: ServerOptions, trip: Trip): ReturnType<Reach> {
  try {
    return await reach(server, trip);
  } catch (error) {
    if (trip.signal.aborted) throw trip.signal.reason;
    if (error instanceof UpstreamError && error.trouble !== 'reply') throw error;
    const code = error instanceof UpstreamError ? error.code : (error as NodeJS.ErrnoException).code;
    // What this machine lacks is no fault of the server's.
    if (typeof code !== 'string' || isShortage(code)) throw error;
    throw new UpstreamError('unreachable', server.label, code, undefined, error);
  }
}

const directly: Reach = async (server, trip) => {
  const { engine, resolver, signal, client } = trip;
  const { path } = server;
  if (path !== undefined) {
    const stream = await engine.connect({ path }, { timeout: left(trip.patience), signal });
    return { stream, servers: [], release: () => {} };
  }
  const addresses = await inTime(resolver.resolve(server.at.host, { source: client, signal }), trip);
  return among(notOwn(addresses, server, trip))(server, trip);
};

/** Reaches a server at the first of its addresses that answers. */
function among(addresses: readonly Ip[]): Reach {
  return async ({ at }, { engine, signal, localAddress, patience }) => {
    const options = { timeout: left(patience), signal, localAddress };
    const stream = await race(addresses, at.port, engine, options);
    const others = addresses.filter((ip) => formatIp(ip) !== stream.remote.host);
    return { stream, servers: [], release: () => {}, others };
  };
}

/** A server that leads back here would call itself without end. */
function notOwn(addresses: readonly Ip[], { at, label }: ServerOptions, trip: Trip): readonly Ip[] {
  const others = addresses.filter((ip) => !trip.isOwnPort(ip, at.port));
  if (others.length === 0) throw new UpstreamError('unable', label, 'loop');
  return others;
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

/** A look-up takes no more of the time than the server has that it is for. */
async function inTime<T>(lookUp: Promise<T>, { patience }: Trip): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ResolveError('ETIMEOUT', 'no time left')), left(patience));
  });
  try {
    return await Promise.race([lookUp, late]);
  } finally {
    clearTimeout(timer);
  }
}

function isSocks4(protocol: ServerOptions['protocol']): boolean {
  return protocol === 'socks4' || protocol === 'socks4a';
}

function left(until: number): number {
  return Math.max(1, until - performance.now());
}

function joined(first: () => void, second: () => void): () => void {
  return () => {
    first();
    second();
  };
}
