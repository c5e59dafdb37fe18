import { setTimeout as delay } from 'node:timers/promises';
import type { Spare } from '../limits/spare.ts';
import { FairQueue } from '../limits/fair-queue.ts';
import { UpstreamError } from './error.ts';
import { examine } from './examine.ts';
import type { Outbound } from './outbound.ts';
import type { Route } from './routes.ts';
import { open } from './upstream.ts';
import type { CheckOptions, DiscoverOptions, GroupOptions, UpstreamOptions } from './options.ts';

/** The number of concurrent checks, the number that is always possible, and the number that can wait. */
const AT_ONCE = { running: 16, least: 1, waiting: 4096 } as const;
/**
 * The shortest and the longest interval, relative to the configured one: keeps several instances from
 * checking in step.
 */
const JITTER = [0.9, 1.1] as const;

/** A group whose members are checked, the first route that leads to it, and the servers before it. */
interface Checked {
  readonly group: GroupOptions | DiscoverOptions;
  readonly check: CheckOptions;
  readonly route: Route;
  readonly before: readonly UpstreamOptions[];
}

/** Checks periodically whether the servers of the routes are healthy, until it is closed. */
export class Checks implements Disposable {
  readonly #outbound: Outbound;
  readonly #closing = new AbortController();
  readonly #queue: FairQueue;

  constructor(outbound: Outbound, spare: Spare) {
    this.#outbound = outbound;
    this.#queue = new FairQueue({ ...AT_ONCE, spare });
    for (const checked of checkedIn(outbound.routes.all)) void this.#watch(checked);
  }

  close(): void {
    this.#closing.abort(new Error('no more checks'));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #watch(checked: Checked): Promise<void> {
    const { every } = checked.check;
    const { signal } = this.#closing;
    const [least, most] = JITTER;
    /**
     * Members with a check in progress: none is checked twice at once, and a slow one does not hold up the
     * others.
     */
    const busy = new Set<string>();
    let pause = Math.random() * every;
    while (await passed(pause, signal)) {
      const { members } = await this.#membersOf(checked);
      for (const { upstream } of members) {
        if (busy.has(upstream.label)) continue;
        busy.add(upstream.label);
        const check = (): Promise<void> => this.#check(upstream, checked);
        void this.#queue.run(() => [checked.group.label], check).finally(() => busy.delete(upstream.label));
      }
      pause = every * (least + Math.random() * (most - least));
    }
  }

  async #check(upstream: UpstreamOptions, { group, check, route, before }: Checked): Promise<void> {
    const { signal } = this.#closing;
    if (signal.aborted) return;
    const behind = { type: 'chain', label: upstream.label, hops: [...before, upstream] } as const;
    const context = this.#outbound.ownContext(route, signal);
    await examine(behind, { ...group.health, check }, context, (request, timed) =>
      open(behind, request, timed),
    );
  }

  /** A group that cannot be discovered has no members; discovery logs the failure. */
  async #membersOf({ group, route }: Checked): Promise<Pick<GroupOptions, 'members'>> {
    if (group.type === 'group') return group;
    const { discovery, resolver } = this.#outbound.ownContext(route, this.#closing.signal);
    try {
      return await discovery.group(group, resolver, {});
    } catch (error) {
      if (error instanceof UpstreamError) return { members: [] };
      throw error;
    }
  }
}

/** Every group that has checks, once. */
function checkedIn(routes: readonly Route[]): Iterable<Checked> {
  const found = new Map<string, Checked>();
  const look = (upstream: UpstreamOptions, before: readonly UpstreamOptions[], route: Route): void => {
    switch (upstream.type) {
      case 'server':
        return;
      case 'discover':
      case 'group': {
        const { check } = upstream.health;
        const place = [...before, upstream].map(({ label }) => label).join(' ');
        if (check !== undefined && !found.has(place))
          found.set(place, { group: upstream, check, route, before });
        if (upstream.type === 'group')
          for (const member of upstream.members) look(member.upstream, before, route);
        return;
      }
      case 'chain':
        for (const [i, hop] of upstream.hops.entries())
          look(hop, [...before, ...upstream.hops.slice(0, i)], route);
        return;
      default:
        upstream satisfies never;
    }
  };
  for (const route of routes) if (route.via !== 'direct') look(route.via, [], route);
  return found.values();
}

/** True after the time has passed, false when the signal is aborted first. */
async function passed(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    return await delay(milliseconds, true, { signal, ref: false });
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}
