import type { Allowance } from '../limits/spare.ts';
import type { Connection } from '../net/engine.ts';
import { ResolveError } from '../resolve/error.ts';
import { codeOf } from '../wire/error-code.ts';
import { addressOf, AddressType } from '../wire/address.ts';
import { ipOf, parseIp, sameIp, unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { Command, Reply } from '../wire/socks5.ts';
import { firstFromThere } from './addresses.ts';
import { normalised, remaining, withinHop } from './dial-context.ts';
import type { DialContext, Opened, Request } from './dial-context.ts';
import { greet, nextReply } from './driver.ts';
import { UpstreamError } from './error.ts';
import { examine } from './examine.ts';
import { candidates } from './group.ts';
import { handshakeFor, handshakeOptions, handshakeOver } from './handshake.ts';
import { race } from './happy-eyeballs.ts';
import type { Link } from './link.ts';
import { isSocks4, mayGoDirectly, placeOf } from './options.ts';
import type {
  ChainOptions,
  DiscoverOptions,
  GroupOptions,
  ServerOptions,
  UpstreamOptions,
} from './options.ts';
import { beginWith } from './proxy-header.ts';
import { isShortage, replyTo } from './reply.ts';

/** Milliseconds within which a healthy server can be expected to answer. */
const FAIR = 1000;

/**
 * Makes a request of the last server of an upstream. Rejects with an UpstreamError, with a ResolveError for a
 * name that must be resolved here, or with the signal's reason.
 */
export function open(upstream: UpstreamOptions, request: Request, context: DialContext): Promise<Opened> {
  return openFrom(directly, upstream, request, context);
}

function openFrom(
  reach: Reach,
  upstream: UpstreamOptions,
  request: Request,
  context: DialContext,
): Promise<Opened> {
  switch (upstream.type) {
    case 'server':
      return openServer(reach, upstream, request, context);
    case 'group':
      return openGroup(reach, upstream, request, context);
    case 'discover':
      return openDiscovered(reach, upstream, request, context);
    case 'chain':
      return openChain(reach, upstream, request, context);
    default:
      return upstream satisfies never;
  }
}

function openChain(
  reach: Reach,
  { hops }: ChainOptions,
  request: Request,
  context: DialContext,
): Promise<Opened> {
  let reachLast = reach;
  for (const hop of hops.slice(0, -1)) reachLast = through(reachLast, hop);
  return openFrom(reachLast, hops.at(-1)!, request, context);
}

/** Reaches a server by CONNECT through an upstream. */
function through(reach: Reach, upstream: UpstreamOptions): Reach {
  return (server, context) => {
    const { at } = server;
    const request = {
      command: Command.connect,
      destination: addressOf(at.host, at.port),
      leadsOn: true,
    };
    // The server must be reached before the deadline of the hop.
    return openFrom(reach, upstream, request, { ...context, deadline: context.hopDeadline });
  };
}

/** Tries the members in turn, until one is reached, able to carry the request, and understands. */
async function openGroup(
  reach: Reach,
  group: GroupOptions,
  request: Request,
  context: DialContext,
): Promise<Opened> {
  const { health } = context;
  const members = candidates(group, context.client, health);
  let { tries } = group;
  /** Time is left for the way out that comes last. */
  const more = mayGoDirectly(group) ? 1 : 0;
  let last: unknown;
  /** Members that stayed silent, possibly because of the destination. */
  const doubtful: UpstreamOptions[] = [];
  try {
    for (const [i, upstream] of members.entries()) {
      if (tries === 0) break;
      const now = performance.now();
      const hopDeadline = now + (context.hopDeadline - now) / (Math.min(tries, members.length - i) + more);
      const deadline = request.leadsOn === true ? hopDeadline : context.deadline;
      const leave = health.enter(upstream.label);
      try {
        const opened = await openFrom(reach, upstream, request, { ...context, hopDeadline, deadline });
        health.succeeded(upstream.label, group.health);
        return { ...opened, release: joined(leave, opened.release) };
      } catch (error) {
        leave();
        if (!(error instanceof UpstreamError)) throw error;
        // The member was reached, and understood.
        if (error.trouble === 'reply' && error.code !== 'ETIMEDOUT')
          health.succeeded(upstream.label, group.health);
        if (isFinal(error, request)) throw error;
        // A healthy member may fail if it had hardly any time left.
        if (hopDeadline - now >= FAIR) {
          if (error.trouble === 'silent') doubtful.push(upstream);
          else if (error.trouble === 'unreachable') health.failed(upstream.label, group.health, error.code);
        }
        if (!error.isUnable) tries--;
        last = error;
      }
    }
    throw last ?? new UpstreamError('unreachable', group.label, 'EHOSTDOWN');
  } finally {
    // Even if the request succeeded: otherwise a silent member would never be found down, and would stay in
    // front of the others for ever.
    for (const upstream of doubtful) void ask(reach, upstream, group, context);
  }
}

/**
 * Failures that a client and its destination can cause must not affect other clients: a server is down only
 * if it fails a request of our own.
 */
async function ask(
  reach: Reach,
  upstream: UpstreamOptions,
  group: GroupOptions,
  context: DialContext,
): Promise<void> {
  const { asked, closing } = context.health;
  if (asked.has(upstream.label)) return;
  asked.add(upstream.label);
  // The client may leave, but the result matters to others.
  const proxyHeader = context.proxyHeader && { version: context.proxyHeader.version };
  const own = { ...context, signal: closing.signal, credentials: undefined, proxyHeader };
  await examine(upstream, group.health, own, (request, timed) => openFrom(reach, upstream, request, timed));
  asked.delete(upstream.label);
}

/**
 * A server's reply about the destination holds for all servers; one about the next server of the chain does
 * not.
 */
export function isFinal(error: UpstreamError, { leadsOn }: Pick<Request, 'leadsOn'> = {}): boolean {
  if (error.trouble === 'refused') return true;
  return error.trouble === 'reply' && leadsOn !== true && !error.isUnable;
}

async function openDiscovered(
  reach: Reach,
  upstream: DiscoverOptions,
  request: Request,
  context: DialContext,
): Promise<Opened> {
  const { discovery, resolver, source, signal } = context;
  let group: GroupOptions;
  try {
    group = await withinHop(discovery.group(upstream, resolver, { source, signal }), context);
  } catch (error) {
    if (!(error instanceof ResolveError)) throw error;
    throw new UpstreamError('unreachable', upstream.label, error.code, undefined, error);
  }
  return openGroup(reach, group, request, context);
}

function joined(first: () => void, second: () => void): () => void {
  return () => {
    first();
    second();
  };
}

/** Reaches one server, and makes a request of it. */
export async function openServer(
  reach: Reach,
  server: ServerOptions,
  request: Request,
  context: DialContext,
): Promise<Opened> {
  try {
    return await askServer(reach, server, request, context);
  } catch (error) {
    throw error instanceof UpstreamError ? error.happenedAt(placeOf(server), []) : error;
  }
}

async function askServer(
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
  const options = handshakeOptions(server, request, context);
  // Fails before connecting if the server cannot carry the request.
  const able = handshakeFor(label, options);
  const below = await reached(reach, server, context);
  const { others = [], servers, release } = below;
  const handshake = handshakeOver(below, server, options) ?? able;
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
    // It has spoken TLS by now, so it is up.
    if (link !== undefined && server.protocol !== 'socks5') asked();
    const { ok, reply, bound } =
      request.greetsOnly === true
        ? await greet(stream, handshake, label)
        : await nextReply(stream, handshake, label, asked);
    if (!ok) throw new UpstreamError('reply', label, `reply-${reply}`, reply);
    return { stream, bound: normalised(bound), handshake, servers: [...servers, server], release };
  } catch (error) {
    stream.destroy();
    release();
    const fault = link === undefined ? error : link.explained(error);
    if (fault instanceof UpstreamError) fault.happenedAt(placeOf(server), servers.map(placeOf));
    // A name with several addresses may be several machines, of which only some are healthy.
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

/**
 * A SOCKS5 server had only to answer a greeting; where the request comes first, the destination may also be
 * to blame.
 */
function isSilent({ protocol, label }: ServerOptions): UpstreamError {
  return protocol === 'socks5'
    ? new UpstreamError('unreachable', label, 'ETIMEDOUT')
    : new UpstreamError('silent', label, 'ETIMEDOUT', Reply.ttlExpired);
}

function isWorthAnother({ trouble }: UpstreamError): boolean {
  return trouble === 'unreachable' || trouble === 'silent';
}

/** The addresses of a name, for a server that accepts addresses only. */
async function addressesFor(
  { protocol, label }: ServerOptions,
  name: string,
  context: DialContext,
): Promise<readonly Ip[]> {
  const family = isSocks4(protocol) ? 'ipv4' : 'any';
  const { resolver, source, signal } = context;
  try {
    return await withinHop(resolver.resolve(name, { family, source, signal }), context);
  } catch (error) {
    if (!(error instanceof ResolveError)) throw error;
    // A server that accepts names could still carry the request.
    throw new UpstreamError('unable', label, error.code, replyTo(error.code), error);
  }
}

/** How a server is reached: from here, or through the servers before it. */
export type Reach = (server: ServerOptions, context: DialContext) => Promise<Reached>;

/** A connection to a server before the first byte is sent. */
export interface Reached {
  readonly stream: Connection;
  /** The servers before it, the nearest first. */
  readonly servers: readonly ServerOptions[];
  /** Must be called when the connection is no longer used. */
  readonly release: () => void;
  /** Addresses of the server that remain to be tried. @default none */
  readonly others?: readonly Ip[];
}

/** From here: to a unix socket, or to the first address that answers. */
export const directly: Reach = async (server, context) => {
  const { engine, resolver, signal, source, nearest } = context;
  const { path } = server;
  if (path !== undefined) {
    const stream = await engine.connect({ path }, { timeout: remaining(context.hopDeadline), signal });
    beginWith(context.proxyHeader, stream);
    return { stream, servers: [], release: () => {} };
  }
  // An address is no name: whatever family is wanted of names, a server that was written down is where it says.
  const known = nearest ?? parseIp(server.at.host);
  const addresses = known
    ? [known]
    : await withinHop(resolver.resolve(server.at.host, { source, signal }), context);
  return oneOf(notOwn(addresses, server, context))(server, context);
};

/** Reaches a server at the first of its addresses that answers. */
export function oneOf(addresses: readonly Ip[]): Reach {
  return async ({ at }, context) => {
    const { engine, signal, localAddress, hopDeadline, proxyHeader } = context;
    const timeout = remaining(hopDeadline);
    const spare = (): Allowance => context.spare.shareOf(context.client);
    const options =
      localAddress === undefined ? { timeout, signal, spare } : { timeout, signal, spare, localAddress };
    const stream = await race(addresses, at.port, engine, options);
    beginWith(proxyHeader, stream);
    const remote = ipOf(stream.remote.host);
    const others = addresses.filter((ip) => remote === undefined || !sameIp(unmapped(ip), unmapped(remote)));
    // The kernel connects 0.0.0.0 to another address, so it would be tried for ever.
    if (others.length === addresses.length) return { stream, servers: [], release: () => {} };
    return { stream, servers: [], release: () => {}, others };
  };
}

/** A server that leads back here would loop. */
function notOwn(addresses: readonly Ip[], { at, label }: ServerOptions, context: DialContext): readonly Ip[] {
  const others = addresses.filter((ip) => !context.isOwnPort(ip, at.port));
  if (others.length === 0) throw new UpstreamError('unable', label, 'loop');
  return others;
}

/**
 * Reaches a server. Any failure means that another server may work, except a refusal by a server on the way
 * there.
 */
export async function reached(reach: Reach, server: ServerOptions, context: DialContext): Promise<Reached> {
  try {
    return await reach(server, context);
  } catch (error) {
    if (context.signal.aborted) throw context.signal.reason;
    if (error instanceof UpstreamError && error.trouble !== 'reply') throw error;
    const code = codeOf(error);
    // A shortage on this machine is not the server's fault.
    if (code === undefined || isShortage(code)) throw error;
    const passed = error instanceof UpstreamError ? error.passed : [];
    throw new UpstreamError('unreachable', server.label, code, undefined, error).happenedAt(
      placeOf(server),
      passed,
    );
  }
}
