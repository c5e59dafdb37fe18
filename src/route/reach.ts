import type { Connection } from '../net/engine.ts';
import type { Share } from '../limits/spare.ts';
import { ipOf, sameIp, unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { UpstreamError } from './error.ts';
import type { ServerOptions } from './options.ts';
import { race } from './happy-eyeballs.ts';
import { isShortage } from './reply.ts';
import { withTimeout, remaining } from './dial-context.ts';
import type { DialContext } from './dial-context.ts';

/** How a server is reached: from here, or through the servers before it. */
export type Reach = (server: ServerOptions, context: DialContext) => Promise<Reached>;

/** A connection to a server to which nothing has been said yet. */
export interface Reached {
  readonly stream: Connection;
  /** The servers before it, the nearest first. */
  readonly servers: readonly ServerOptions[];
  /** When it is not used any more. */
  readonly release: () => void;
  /** Addresses of the server that are still to be tried. @default none */
  readonly others?: readonly Ip[];
}

/** From here: to a unix socket, or to the first address that answers. */
export const directly: Reach = async (server, context) => {
  const { engine, resolver, signal, source, nearest } = context;
  const { path } = server;
  if (path !== undefined) {
    const stream = await engine.connect({ path }, { timeout: remaining(context.hopDeadline), signal });
    return { stream, servers: [], release: () => {} };
  }
  const addresses = nearest
    ? [nearest]
    : await withTimeout(resolver.resolve(server.at.host, { source, signal }), context);
  return oneOf(notOwn(addresses, server, context))(server, context);
};

/** Reaches a server at the first of its addresses that answers. */
export function oneOf(addresses: readonly Ip[]): Reach {
  return async ({ at }, context) => {
    const { engine, signal, localAddress, hopDeadline } = context;
    const timeout = remaining(hopDeadline);
    const spare = (): Share => context.spare.shareOf(context.client);
    const options =
      localAddress === undefined ? { timeout, signal, spare } : { timeout, signal, spare, localAddress };
    const stream = await race(addresses, at.port, engine, options);
    const remote = ipOf(stream.remote.host);
    const others = addresses.filter((ip) => remote === undefined || !sameIp(unmapped(ip), unmapped(remote)));
    // 0.0.0.0 is another address to the kernel, and would be tried for ever.
    if (others.length === addresses.length) return { stream, servers: [], release: () => {} };
    return { stream, servers: [], release: () => {}, others };
  };
}

/** A server that leads back here would call itself without end. */
function notOwn(addresses: readonly Ip[], { at, label }: ServerOptions, context: DialContext): readonly Ip[] {
  const others = addresses.filter((ip) => !context.isOwnPort(ip, at.port));
  if (others.length === 0) throw new UpstreamError('unable', label, 'loop');
  return others;
}

/**
 * Reaches a server. Whatever keeps it from being reached, another server may do, but for what a server on the way there has
 * refused.
 */
export async function reached(reach: Reach, server: ServerOptions, context: DialContext): Promise<Reached> {
  try {
    return await reach(server, context);
  } catch (error) {
    if (context.signal.aborted) throw context.signal.reason;
    if (error instanceof UpstreamError && error.trouble !== 'reply') throw error;
    const code = error instanceof UpstreamError ? error.code : (error as NodeJS.ErrnoException).code;
    // What this machine lacks is no fault of the server's.
    if (typeof code !== 'string' || isShortage(code)) throw error;
    throw new UpstreamError('unreachable', server.label, code, undefined, error);
  }
}
