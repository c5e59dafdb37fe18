import { setTimeout as delay } from 'node:timers/promises';
import { egressFrom } from '../net/egress.ts';
import type { Resolver } from '../resolve/resolver.ts';
import { FairQueue } from '../limits/fair-queue.ts';
import { UpstreamError } from './error.ts';
import { examine } from './examine.ts';
import { open } from './open.ts';
import type {
  CheckOptions,
  DiscoverOptions,
  GroupOptions,
  RouteOptions,
  UpstreamOptions,
} from './options.ts';
import type { DialContext } from './dial-context.ts';

/** Checks at a time, of which one may always be, and those that wait for others to end. */
const AT_ONCE = { running: 16, least: 1, waiting: 4096 } as const;
/** The longest and the shortest of two intervals, as parts of what is wanted: so that those who check do not do so in step. */
const JITTER = [0.9, 1.1] as const;

/** What the checks of all groups share. */
export type Ground = Pick<DialContext, 'engine' | 'health' | 'discovery' | 'links' | 'spare' | 'isOwnPort'>;

/** A group whose members are checked, the first route that leads there, and the servers before it. */
interface Checked {
  readonly group: GroupOptions | DiscoverOptions;
  readonly check: CheckOptions;
  readonly route: RouteOptions;
  readonly before: readonly UpstreamOptions[];
}

/** Sees from time to time whether the servers are well to which routes lead, until it is closed. */
export class Checks implements Disposable {
  readonly #ground: Ground;
  readonly #closing = new AbortController();
  readonly #turns: FairQueue;

  constructor(
    routes: readonly RouteOptions[],
    resolverFor: (route: RouteOptions) => Resolver,
    ground: Ground,
  ) {
    this.#ground = ground;
    this.#turns = new FairQueue({ ...AT_ONCE, spare: ground.spare });
    for (const checked of checkedIn(routes)) void this.#watch(checked, resolverFor(checked.route));
  }

  close(): void {
    this.#closing.abort(new Error('no more checks'));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #watch(checked: Checked, resolver: Resolver): Promise<void> {
    const { every } = checked.check;
    const { signal } = this.#closing;
    const [least, most] = JITTER;
    /** Those that take their time: none is checked twice at once, and none holds up the others. */
    const busy = new Set<string>();
    let pause = Math.random() * every;
    while (await passed(pause, signal)) {
      const { members } = await this.#membersOf(checked.group, resolver);
      for (const { way } of members) {
        if (busy.has(way.label)) continue;
        busy.add(way.label);
        const check = (): Promise<void> => this.#check(way, checked, resolver);
        void this.#turns.run(() => [checked.group.label], check).finally(() => busy.delete(way.label));
      }
      pause = every * (least + Math.random() * (most - least));
    }
  }

  async #check(
    way: UpstreamOptions,
    { group, check, route, before }: Checked,
    resolver: Resolver,
  ): Promise<void> {
    const { signal } = this.#closing;
    if (signal.aborted) return;
    const egress = route.egress && egressFrom(route.egress, undefined);
    const context = {
      ...this.#ground,
      resolver,
      signal,
      client: '',
      credentials: undefined,
      localAddress: egress,
    };
    const behind = { type: 'chain', label: way.label, hops: [...before, way] } as const;
    await examine(behind, { ...group.health, check }, context, (request, timed) =>
      open(behind, request, timed),
    );
  }

  /** What cannot be discovered has no members; that is logged where it is discovered. */
  async #membersOf(group: Checked['group'], resolver: Resolver): Promise<Pick<GroupOptions, 'members'>> {
    if (group.type === 'group') return group;
    try {
      return await this.#ground.discovery.group(group, resolver, {});
    } catch (error) {
      if (error instanceof UpstreamError) return { members: [] };
      throw error;
    }
  }
}

/** Every group that is to be checked, once. */
function checkedIn(routes: readonly RouteOptions[]): Iterable<Checked> {
  const found = new Map<string, Checked>();
  const look = (way: UpstreamOptions, before: readonly UpstreamOptions[], route: RouteOptions): void => {
    switch (way.type) {
      case 'server':
        return;
      case 'discover':
      case 'group': {
        const { check } = way.health;
        const place = [...before, way].map(({ label }) => label).join(' ');
        if (check !== undefined && !found.has(place)) found.set(place, { group: way, check, route, before });
        if (way.type === 'group') for (const member of way.members) look(member.way, before, route);
        return;
      }
      case 'chain':
        for (const [i, hop] of way.hops.entries()) look(hop, [...before, ...way.hops.slice(0, i)], route);
        return;
      default:
        way satisfies never;
    }
  };
  for (const route of routes) if (route.via !== 'direct') look(route.via, [], route);
  return found.values();
}

/** True after a time, false when the signal comes before. */
async function passed(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    return await delay(milliseconds, true, { signal, ref: false });
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}
