import type { Asker } from '../limits/fair-queue.ts';
import type { Allowance, Spare } from '../limits/spare.ts';
import { network } from '../limits/claims.ts';
import { egressFrom } from '../net/egress.ts';
import type { Connection, Engine, Signal } from '../net/engine.ts';
import { Resolvers } from '../resolve/resolvers.ts';
import type { ResolveOptions, Resolver } from '../resolve/resolver.ts';
import { addressOf } from '../wire/address.ts';
import type { Endpoint, HostPort } from '../wire/address.ts';
import { parseIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import type { Credentials } from '../wire/password.ts';
import { Command, Reply } from '../wire/socks5.ts';
import { firstFromThere } from './addresses.ts';
import { awaitPeerHere, awaitPeerThere } from './bind.ts';
import type { BindOptions, BoundPort } from './bind.ts';
import { remaining } from './dial-context.ts';
import type { DialContext, Opened } from './dial-context.ts';
import { Discovery } from './discovery.ts';
import type { Missed } from './discovery.ts';
import { UpstreamError } from './error.ts';
import { race } from './happy-eyeballs.ts';
import { Health } from './health.ts';
import type { Changed } from './health.ts';
import type { RoutedPermit } from './judge.ts';
import { Links } from './link.ts';
import type { LinkFailed } from './link.ts';
import { mayGoDirectly, placeOf } from './options.ts';
import type { RouteOptions, UpstreamOptions } from './options.ts';
import { beginWith, proxyHeaderFor } from './proxy-header.ts';
import { Routes } from './routes.ts';
import type { Route } from './routes.ts';
import { associateThrough } from './udp-chain.ts';
import type { AssociationOwner, UpstreamAssociation } from './udp-chain.ts';
import { isFinal, open } from './upstream.ts';

/** The client on whose behalf garter goes out. */
export interface OutboundClient {
  /** Ends everything that is in progress for it. */
  readonly signal: Signal;
  readonly ip: Ip;
  /** Its address and port; port 0 for one on a unix socket. */
  readonly remote: Endpoint;
  /** The local address of its connection. */
  readonly local: Endpoint;
  /** Identifies it in fair queues. */
  readonly asker: Asker;
  /** Its credentials, for upstreams that require them. */
  readonly credentials: Credentials | undefined;
  /**
   * Records the route, then also the servers of a group or chain, which stay counted as in use until the
   * client calls `release`.
   */
  goesBy(route: string, release?: () => void): void;
}

/** A connection to a permitted destination. */
export interface Dialled {
  readonly connection: Connection;
  /** The local end of the connection to the target, here or at the last server. */
  readonly bound: HostPort;
  /** The target's address, unless only the last server knows it. */
  readonly address: HostPort | undefined;
}

export interface OutboundSettings {
  readonly routes?: readonly RouteOptions[];
  readonly resolve: ResolveOptions;
  readonly policy: { readonly nat64?: readonly string[] };
}

/** What an `Outbound` is built on. */
export interface OutboundOptions {
  readonly engine: Engine;
  readonly spare: Spare;
  /** True for garter's own ports, which cannot be an upstream. */
  readonly isOwnPort: (ip: Ip, port: number) => boolean;
  /** The health of upstreams, where several threads share it. @default memory of its own */
  readonly healthMemory?: SharedArrayBuffer;
  readonly upstreamChanged?: Changed;
  readonly serviceMissed?: Missed;
  readonly linkFailed?: LinkFailed;
}

/**
 * The way out: directly, or through the upstreams of a route. It owns the routes and resolvers, which a
 * reload replaces, and the state of upstreams, which outlives it. Requests of clients leave only with a
 * RoutedPermit. Failures reject with an UpstreamError, a ResolveError, Node's error or the reason of the
 * client's signal.
 */
export class Outbound implements Disposable {
  readonly health: Health;
  readonly #options: OutboundOptions;
  readonly #discovery: Discovery;
  readonly #links: Links;
  #resolvers: Resolvers;
  #resolver: Resolver;
  #routes: Routes;

  constructor(options: OutboundOptions, settings: OutboundSettings) {
    this.#options = options;
    this.health = new Health(options.healthMemory, options.upstreamChanged);
    this.#discovery = new Discovery(options.serviceMissed ?? ignore);
    this.#links = new Links(options.linkFailed ?? ignore);
    this.#resolvers = new Resolvers(options);
    this.#resolver = this.#resolvers.for(settings.resolve);
    this.#routes = this.#routesOf(settings);
  }

  get routes(): Routes {
    return this.#routes;
  }

  /** Applies new settings. Resolvers with unchanged options keep their caches. */
  use(settings: OutboundSettings): void {
    const before = this.#resolvers;
    // The old resolvers are not closed: sessions may still wait for their answers, and soon after that they
    // hold nothing.
    this.#resolvers = new Resolvers(this.#options);
    this.#resolver = this.#resolvers.for(settings.resolve, before);
    this.#routes = this.#routesOf(settings, before);
  }

  /** CONNECT: until `deadline`, by `performance.now`. */
  async connect(routed: RoutedPermit, client: OutboundClient, deadline: number): Promise<Dialled> {
    const { permit, route, addresses, upstream } = routed;
    client.goesBy(route.label);
    const asked =
      upstream &&
      (await unlessDirect(upstream, () => this.#ask(Command.connect, upstream, routed, client, deadline)));
    if (asked !== undefined) return { connection: asked.stream, bound: asked.bound, address: asked.address };
    if (upstream !== undefined) client.goesBy(describeDirect(route));
    const { engine, spare } = this.#options;
    const options = {
      timeout: remaining(deadline),
      signal: client.signal,
      spare: (): Allowance => spare.shareOf(network(client.ip)),
      localAddress: route.egress && egressFrom(route.egress, client.local.host),
    };
    const connection = await race(addresses, permit.destination.port, engine, options);
    beginWith(proxyHeaderFor(route, client), connection);
    return { connection, bound: connection.local, address: connection.remote };
  }

  /** BIND: opens a port that awaits a peer, here or at the last server. */
  async bind(
    routed: RoutedPermit,
    client: OutboundClient,
    deadline: number,
    options: BindOptions,
  ): Promise<BoundPort> {
    const { route, upstream } = routed;
    client.goesBy(route.label);
    const asked =
      upstream &&
      (await unlessDirect(upstream, () => this.#ask(Command.bind, upstream, routed, client, deadline)));
    if (asked !== undefined) return awaitPeerThere(asked, options);
    if (upstream !== undefined) client.goesBy(describeDirect(route));
    return awaitPeerHere(routed, client.local.host, this.#options.engine, options);
  }

  /**
   * UDP ASSOCIATE with every server of an upstream; `undefined` when datagrams leave directly instead. `signal`
   * ends the attempt, in place of the client's.
   */
  associate(
    { route, upstream }: RoutedPermit & { readonly upstream: UpstreamOptions },
    client: OutboundClient,
    { deadline, signal }: { readonly deadline: number; readonly signal: Signal },
    owner: AssociationOwner,
  ): Promise<UpstreamAssociation | undefined> {
    // Its datagrams come from here, not from the client.
    const context = {
      ...this.#contextFor(route, client, deadline),
      signal,
      proxyHeader: proxyHeaderFor(route),
    };
    return unlessDirect(upstream, () => associateThrough(upstream, context, owner));
  }

  /** RESOLVE: the permit's addresses, or those that the last server of the route finds. */
  async resolve(routed: RoutedPermit, client: OutboundClient, deadline: number): Promise<readonly Ip[]> {
    const { addresses } = routed.permit;
    if (addresses.length > 0) return addresses;
    const ip = parseIp(await this.#askName(Command.resolve, routed, client, deadline));
    return ip === undefined ? [] : [ip];
  }

  /** RESOLVE_PTR: the name of the permit's address. */
  async reverse(routed: RoutedPermit, client: OutboundClient, deadline: number): Promise<string> {
    const { permit, route } = routed;
    if (route.passesNames) return this.#askName(Command.resolvePtr, routed, client, deadline);
    const { asker: source, signal } = client;
    return this.#resolverOf(route).reverse(permit.addresses[0]!, { source, signal });
  }

  /** The addresses of a name, resolved as the route requires, in order of preference. */
  lookUp(
    name: string,
    route: Route | undefined,
    client?: Pick<OutboundClient, 'asker' | 'signal'>,
  ): Promise<readonly Ip[]> {
    const asking = client === undefined ? {} : { source: client.asker, signal: client.signal };
    return this.#resolverOf(route).resolve(name, asking);
  }

  /** The context of garter's own requests along a route, which no client can influence. */
  ownContext(route: Route, signal: Signal): Omit<DialContext, 'deadline' | 'hopDeadline'> {
    return {
      ...this.#shared(route),
      signal,
      localAddress: route.egress && egressFrom(route.egress, undefined),
      proxyHeader: proxyHeaderFor(route),
      client: '',
      credentials: undefined,
    };
  }

  /** Ends everything that is in progress. */
  close(): void {
    this.health.closing.abort(new Error('closed'));
    this.#resolvers.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #routesOf({ routes, resolve, policy }: OutboundSettings, before?: Resolvers): Routes {
    return new Routes(routes, resolve, (names) => this.#resolvers.for(names, before), policy.nat64);
  }

  #resolverOf(route: Route | undefined): Resolver {
    return route?.resolver ?? this.#resolver;
  }

  /** RESOLVE and RESOLVE_PTR at the last server. */
  async #askName(
    command: typeof Command.resolve | typeof Command.resolvePtr,
    routed: RoutedPermit,
    client: OutboundClient,
    deadline: number,
  ): Promise<string> {
    const { route, upstream } = routed;
    client.goesBy(route.label);
    if (upstream === undefined)
      throw new UpstreamError('unable', route.label, 'command', Reply.commandNotSupported);
    const { stream, bound } = await this.#ask(command, upstream, routed, client, deadline);
    stream.destroy();
    return bound.host;
  }

  /**
   * Makes a request of the last server: by name where the name is passed on, else by address. The result's
   * `address` is the target's, if it is known here.
   */
  async #ask(
    command: Command,
    upstream: UpstreamOptions,
    { permit: { destination }, route, addresses }: RoutedPermit,
    client: OutboundClient,
    deadline: number,
  ): Promise<Opened & { readonly address: HostPort | undefined }> {
    const { port } = destination;
    const context = this.#contextFor(route, client, deadline);
    const ask = (host: string): Promise<Opened> =>
      open(upstream, { command, destination: addressOf(host, port) }, context);
    try {
      const asked =
        destination.type === 'name' && addresses.length === 0
          ? { ...(await ask(destination.name)), address: undefined }
          : await firstFromThere(addresses, async (host) => ({
              ...(await ask(host)),
              address: { host, port },
            }));
      client.goesBy(describePath(route, asked.servers.map(placeOf)), asked.release);
      return asked;
    } catch (error) {
      if (error instanceof UpstreamError && error.passed.length > 0)
        client.goesBy(describePath(route, error.passed));
      throw error;
    }
  }

  #contextFor(route: Route, client: OutboundClient, deadline: number): DialContext {
    return {
      ...this.#shared(route),
      signal: client.signal,
      deadline,
      hopDeadline: deadline,
      localAddress: route.egress && egressFrom(route.egress, client.local.host),
      egress: route.egress,
      proxyHeader: proxyHeaderFor(route, client),
      client: network(client.ip),
      source: client.asker,
      credentials: client.credentials,
    };
  }

  /** The part of a context that is the same for every client. */
  #shared(
    route: Route,
  ): Pick<DialContext, 'engine' | 'resolver' | 'health' | 'discovery' | 'links' | 'spare' | 'isOwnPort'> {
    const { engine, spare, isOwnPort } = this.#options;
    const resolver = this.#resolverOf(route);
    return {
      engine,
      resolver,
      health: this.health,
      discovery: this.#discovery,
      links: this.#links,
      spare,
      isOwnPort,
    };
  }
}

function ignore(): void {}

/** Uses an upstream; `undefined` when no server of it can be used, and requests then leave directly. */
async function unlessDirect<T>(upstream: UpstreamOptions, use: () => Promise<T>): Promise<T | undefined> {
  try {
    return await use();
  } catch (error) {
    if (!mayGoDirectly(upstream) || !(error instanceof UpstreamError) || isFinal(error)) throw error;
    return undefined;
  }
}

/** A route that leaves directly, as it appears in records. */
export function describeDirect({ label, via }: Route): string {
  return via === 'direct' ? label : `${label}/direct`;
}

/** A route as it appears in records; for groups and chains, the servers that are used follow. */
export function describePath({ label, via }: Route, servers: readonly string[]): string {
  if (via === 'direct' || via.type === 'server') return label;
  return [label, ...servers].join('/');
}
