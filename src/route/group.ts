import { createHash } from 'node:crypto';
import type { Health } from './health.ts';
import type { GroupOptions, MemberOptions, UpstreamOptions } from './options.ts';

/**
 * The members of a group in the order in which to try them for a client; those that are down come last, or not at
 * all if requests can leave directly.
 */
export function candidates(group: GroupOptions, client: string, health: Health): readonly UpstreamOptions[] {
  const ordered = tiers(group)
    .flatMap((tier) => arrange(tier, client, health))
    .map(({ upstream }) => upstream);
  const up = ordered.filter(({ label }) => health.isUp(label));
  if (group.orDirect === true) return up;
  return [...up, ...ordered.filter((upstream) => !up.includes(upstream))];
}

/** One group per priority. */
function tiers(group: GroupOptions): readonly GroupOptions[] {
  const byPriority = Map.groupBy(group.members, ({ priority = 0 }) => priority);
  return [...byPriority]
    .toSorted(([a], [b]) => a - b)
    .map(([priority, members]) => ({ ...group, members, label: `${group.label} ${priority}` }));
}

function arrange(tier: GroupOptions, client: string, health: Health): readonly MemberOptions[] {
  const { members, choose, label } = tier;
  switch (choose) {
    case 'order':
      return members;
    case 'random':
      return sortedBy(members, ({ weight }) => arrival(Math.random(), weight));
    case 'round-robin':
      return fromTurn(members, health.takeTurn(label));
    case 'least-sessions':
      return sortedBy(
        // Equals in random order, so that it is not always the same one.
        sortedBy(members, Math.random),
        ({ upstream, weight }) => health.sessions(upstream.label) / weight,
      );
    case 'source-hash':
      // Rendezvous hashing: when a member comes or goes, only its own clients move.
      return sortedBy(members, ({ upstream, weight }) =>
        arrival(unitHash(`${client} ${upstream.label}`), weight),
      );
    default:
      return choose satisfies never;
  }
}

/**
 * The arrival time of an event with rate `weight`: the earliest arrival is distributed in proportion to the
 * weights.
 */
function arrival(unit: number, weight: number): number {
  return -Math.log(1 - unit) / weight;
}

/** A number in [0, 1). */
function unitHash(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) / 2 ** 48;
}

/** In each round, a member has as many consecutive turns as its weight; the other members follow it. */
function fromTurn(members: readonly MemberOptions[], turn: number): readonly MemberOptions[] {
  const turns = members.reduce((sum, { weight }) => sum + weight, 0);
  let left = turn % turns;
  const first = members.findIndex(({ weight }) => (left -= weight) < 0);
  return [...members.slice(first), ...members.slice(0, first)];
}

function sortedBy<T>(items: readonly T[], key: (item: T) => number): readonly T[] {
  return items
    .map((item): readonly [number, T] => [key(item), item])
    .toSorted(([a], [b]) => a - b)
    .map(([, item]) => item);
}
