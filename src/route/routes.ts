import { AddressSet } from '../policy/addresses.ts';
import { classify } from '../policy/classify.ts';
import type { Classified } from '../policy/classify.ts';
import { nearMissesAmong } from '../policy/near-misses.ts';
import { Nat64 } from '../policy/nat64.ts';
import type { Destination, Facts, LocalAddresses } from '../policy/policy.ts';
import { RequestConditions } from '../policy/request-conditions.ts';
import { Resolver, takesFamily } from '../resolve/resolver.ts';
import type { Family, ResolveOptions } from '../resolve/resolver.ts';
import { unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { passesCredentials, passesNames } from './options.ts';
import type { RouteOptions } from './options.ts';

/** A route, ready for use. */
export interface Route extends Pick<
  RouteOptions,
  'name' | 'label' | 'via' | 'egress' | 'sendProxy' | 'origin'
> {
  /** Names are passed on, not resolved here. */
  readonly passesNames: boolean;
  /** Its own resolver, if it has name servers of its own. */
  readonly resolver?: Resolver;
}

/** The only route of a configuration without routes. */
export const DIRECT: Route = { name: 'direct', label: 'direct', via: 'direct', passesNames: false };

/** Routes treat every address alike. */
const NOTHING_SPECIAL = AddressSet.of([]);

/** Returns a resolver with these options. */
type ResolverFor = (names: ResolveOptions) => Resolver;

/** The compiled routes: the first match decides. A reload creates new ones. */
export class Routes {
  readonly #routes: readonly (readonly [RequestConditions, Route])[] | undefined;

  /** The prefixes of address translation. */
  readonly nat64: readonly string[];
  readonly #translation: Nat64;
  readonly #family: Family;

  /** The original options; `undefined`: everything goes out directly. */
  readonly options: readonly RouteOptions[] | undefined;

  constructor(
    options: readonly RouteOptions[] | undefined,
    names: ResolveOptions,
    resolverFor: ResolverFor = (own) => new Resolver(own),
    nat64: readonly string[] = [],
  ) {
    this.options = options;
    this.nat64 = nat64;
    this.#translation = new Nat64(nat64);
    this.#family = names.family;
    this.#routes = options?.map((one) => [new RequestConditions(one), routeOf(one, names, resolverFor)]);
    this.passCredentials = options?.some(({ via }) => via !== 'direct' && passesCredentials(via)) ?? false;
  }

  /** Whether some upstream requires the client's credentials. */
  readonly passCredentials: boolean;

  /** In order; empty without routes. */
  get all(): readonly Route[] {
    return (this.#routes ?? []).map(([, route]) => route);
  }

  /** Whether addresses of its family are used where they are dialled from here. */
  takes({ family }: Ip): boolean {
    return takesFamily(this.#family, family);
  }

  /** Whether all addresses of a name take the same route. */
  get areSame(): boolean {
    return this.#routes === undefined;
  }

  /**
   * The route to a destination; for a name also by its address, once that is known. Until then, conditions
   * about addresses match no name but `localhost`. `undefined` when no route matches.
   */
  find(
    facts: Facts,
    destination: Destination,
    address: Ip | undefined,
    surroundings: LocalAddresses,
  ): Route | undefined {
    if (this.#routes === undefined) return DIRECT;
    const client = unmapped(facts.client);
    const name = destination.type === 'name' ? destination.name : undefined;
    const ip = destination.type === 'ip' ? destination.ip : address;
    const judged = ip && classify(ip, NOTHING_SPECIAL, this.#translation, surroundings);
    const found = this.#routes.find(
      ([conditions]) =>
        conditions.hasPort(destination.port) &&
        conditions.isFor(facts, client, surroundings) &&
        (judged === undefined ? conditions.to.hasPassedOn(name!) : conditions.to.has(name, judged)),
    );
    return found?.[1];
  }

  /** Whether some route could match a name by its address, if `find` has found none by the name alone. */
  needsAddress(facts: Facts, { port }: Destination, surroundings: LocalAddresses): boolean {
    const client = unmapped(facts.client);
    const mayMatch = ([conditions]: readonly [RequestConditions, Route]): boolean =>
      conditions.to.needsAddress && conditions.hasPort(port) && conditions.isFor(facts, client, surroundings);
    return this.#routes?.some(mayMatch) ?? false;
  }

  /** The routes that a request without one nearly matches, and the condition that fails. */
  nearMisses(
    facts: Facts,
    destination: Destination | undefined,
    resolved: Ip | undefined,
    surroundings: LocalAddresses,
  ): { readonly route: Route; readonly text: string }[] {
    const routes = new Map(this.#routes);
    const judge = (ip: Ip): Classified => classify(ip, NOTHING_SPECIAL, this.#translation, surroundings);
    const missed = nearMissesAmong([...routes.keys()], facts, destination, resolved, judge, surroundings);
    return missed.map(({ conditions, text }) => ({ route: routes.get(conditions)!, text }));
  }

  /**
   * The route of the first address that has one, and the addresses that share it; `undefined` when none has
   * one.
   */
  findAmong(
    facts: Facts,
    destination: Destination,
    addresses: readonly Ip[],
    surroundings: LocalAddresses,
  ): { readonly route: Route; readonly addresses: readonly Ip[] } | undefined {
    const found = addresses.map((ip) => this.find(facts, destination, ip, surroundings));
    const route = found.find((one) => one !== undefined);
    return route && { route, addresses: addresses.filter((_, i) => found[i] === route) };
  }

  /** The routes that requests of this kind can take, whatever their destinations. */
  openTo(facts: Facts, surroundings: LocalAddresses): readonly Route[] {
    if (this.#routes === undefined) return [DIRECT];
    const client = unmapped(facts.client);
    const open = this.#routes.filter(([conditions]) => conditions.isFor(facts, client, surroundings));
    const last = open.findIndex(([conditions]) => conditions.coversAll);
    return (last < 0 ? open : open.slice(0, last + 1)).map(([, route]) => route);
  }
}

/** Whether connections leave in the same way by both routes. */
export function leaveAlike(a: Route, b: Route): boolean {
  return a.via === b.via && a.egress === b.egress && a.sendProxy === b.sendProxy;
}

/** The resolver options of a route: its own name servers, from its own egress. */
export function namesFor(
  { dns, egress }: Pick<RouteOptions, 'dns' | 'egress'>,
  names: ResolveOptions,
): ResolveOptions {
  if (dns === undefined) return names;
  return { ...names, servers: dns, ...(egress !== undefined && egress.addresses.length > 0 && { egress }) };
}

function routeOf(
  { name, label, via, egress, dns, sendProxy, resolvesHere, origin }: RouteOptions,
  names: ResolveOptions,
  resolverFor: ResolverFor,
): Route {
  return {
    name,
    label,
    via,
    passesNames: via !== 'direct' && !resolvesHere && passesNames(via),
    ...(egress !== undefined && { egress }),
    ...(sendProxy !== undefined && { sendProxy }),
    ...(origin !== undefined && { origin }),
    ...(dns !== undefined && {
      resolver: resolverFor(namesFor({ dns, ...(egress !== undefined && { egress }) }, names)),
    }),
  };
}
