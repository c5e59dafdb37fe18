import type { Signal } from '../net/engine.ts';
import { ResolveError } from '../resolve/error.ts';
import type { Service } from '../resolve/message.ts';
import type { Resolver } from '../resolve/resolver.ts';
import type { Asker } from '../limits/fair-queue.ts';
import { formatAddress } from '../wire/address.ts';
import { UpstreamError } from './error.ts';
import type { DiscoverOptions, GroupOptions, MemberOptions } from './options.ts';

/** Bounds, in milliseconds, on how long an answer is used, regardless of its time to live. */
const MIN_TTL = 5000;
const MAX_TTL = 3_600_000;
/**
 * Milliseconds for which an expired answer remains in use while it is refreshed. After that, callers wait for
 * the new one.
 */
const GRACE = 60_000;
/** The share of a member of weight 0 beside others: very small (RFC 2782). */
const NEXT_TO_NONE = 0.01;

/**
 * Called once when a service cannot be looked up, and again only after a look-up has succeeded in between.
 */
export type Missed = (service: string, why: string) => void;

interface Found {
  readonly services: readonly Service[];
  /** When to refresh it. */
  expires: number;
  /** When to wait for the new answer. */
  readonly spoils: number;
}

interface Caller {
  readonly source?: Asker | undefined;
  readonly signal?: Signal;
}

/**
 * Groups whose servers are found by SRV records. A service is looked up on demand, and again on the first use
 * after the answer has expired. If that fails, the last good answer stays.
 */
export class Discovery {
  readonly #missed: Missed;
  /** By resolver: another may answer differently. */
  readonly #found = new WeakMap<Resolver, Map<string, Found>>();
  /** Services whose last look-up failed, by resolver. */
  readonly #missing = new WeakMap<Resolver, Set<string>>();
  readonly #now: () => number;

  /** `now`: a monotonic clock in milliseconds. */
  constructor(missed: Missed, now: () => number = () => performance.now()) {
    this.#missed = missed;
    this.#now = now;
  }

  /**
   * The current group. Rejects with an UpstreamError when no answer is known, or with the signal's reason.
   */
  async group(upstream: DiscoverOptions, resolver: Resolver, caller: Caller): Promise<GroupOptions> {
    const services = await this.#services(upstream, resolver, caller);
    if (services.length === 0) throw new UpstreamError('unreachable', upstream.label, 'ENOTFOUND');
    return { ...upstream, type: 'group', members: membersOf(upstream, services) };
  }

  async #services(
    upstream: DiscoverOptions,
    resolver: Resolver,
    caller: Caller,
  ): Promise<readonly Service[]> {
    const known = this.#found.get(resolver)?.get(upstream.service);
    const now = this.#now();
    if (known === undefined) return this.#ask(upstream, resolver, caller);
    if (now < known.expires) return known.services;
    // Keeps other callers from asking at the same time.
    known.expires = now + MIN_TTL;
    if (now >= known.spoils) return this.#ask(upstream, resolver, caller, known);
    void this.#ask(upstream, resolver, {}, known);
    return known.services;
  }

  async #ask(
    { service, label }: DiscoverOptions,
    resolver: Resolver,
    caller: Caller,
    known?: Found,
  ): Promise<readonly Service[]> {
    try {
      const { services, ttl } = await resolver.services(service, caller);
      this.#keep(service, resolver, services, ttl);
      return services;
    } catch (error) {
      if (!(error instanceof ResolveError)) throw error;
      if (error.code !== 'ECLOSED') this.#miss(service, resolver, error.message);
      if (known !== undefined) return known.services;
      throw new UpstreamError('unreachable', label, error.code, undefined, error);
    }
  }

  #keep(service: string, resolver: Resolver, services: readonly Service[], ttl: number): void {
    this.#missing.get(resolver)?.delete(service);
    const expires = this.#now() + Math.min(Math.max(ttl, MIN_TTL), MAX_TTL);
    const found = this.#found.get(resolver) ?? new Map<string, Found>();
    found.set(service, { services, expires, spoils: expires + GRACE });
    this.#found.set(resolver, found);
  }

  #miss(service: string, resolver: Resolver, why: string): void {
    const missing = this.#missing.get(resolver) ?? new Set<string>();
    if (missing.has(service)) return;
    this.#missing.set(resolver, missing.add(service));
    this.#missed(service, why);
  }
}

/** In the order of the services, for groups that choose by order. */
function membersOf(
  { scheme, server }: DiscoverOptions,
  services: readonly Service[],
): readonly MemberOptions[] {
  const share = services.map(({ weight }) => weight).reduce(greatestDivisor, 0);
  return services.map(({ target, port, priority, weight }) => {
    const at = { host: target, port };
    const label = `${scheme}${formatAddress(at)}`;
    return {
      upstream: { ...server, type: 'server', label, at },
      weight: share === 0 ? 1 : weight / share || NEXT_TO_NONE,
      priority,
    };
  });
}

/** Reduces the weights, so that a round of turns is short. */
function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
