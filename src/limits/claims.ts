import { unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import type { Rate, RuleOptions } from '../policy/policy.ts';

/** The limits that sessions are counted in. */
export type LimitName =
  | 'connections'
  | 'per-address'
  | 'sessions'
  | 'sessions-per-user'
  | 'sessions-per-address'
  | 'rate'
  | 'rate-per-address';

/** One of what a limit allows. */
export interface Claim {
  readonly limit: LimitName;
  /** Who shares it: the rule, the user, the address. */
  readonly whom: readonly string[];
  readonly most: number;
  /** Milliseconds: at most so many in this time. Absent: so many at a time, until they are released. */
  readonly per?: number;
  /** Where the limits have found it to be counted; theirs to fill in, so that a claim which is made again and again is hashed once. */
  key?: readonly [low: number, high: number];
}

/** The top-level limits on connections. */
export interface ConnectionCounts {
  readonly connections: number;
  readonly perAddress?: number;
}

/** What every connection claims: the same for all, and one for its address. */
export function connectionClaims({ connections, perAddress }: ConnectionCounts): (client: Ip) => Claim[] {
  const all: Claim[] = [{ limit: 'connections', whom: [], most: connections }];
  if (perAddress === undefined) return () => all;
  return (client) => [...all, { limit: 'per-address', whom: [network(client)], most: perAddress }];
}

/**
 * What a session claims of the limits of its rule. Rules are identified by name, so that a reload that changes a limit
 * goes on with the count; sessions that began before a limit was written are not in it. Clients without a user count
 * together as one.
 */
export function ruleClaims(
  { name, limit }: Pick<RuleOptions, 'name' | 'limit'>,
  user: string | undefined,
  client: Ip,
): readonly Claim[] {
  if (limit === undefined) return NONE;
  const claims: Claim[] = [];
  const claim = (of: LimitName, most: number | undefined, ...whom: string[]): void => {
    if (most !== undefined) claims.push({ limit: of, whom: [name, ...whom], most });
  };
  const claimRate = (of: LimitName, rate: Rate | undefined, ...whom: string[]): void => {
    if (rate !== undefined) claims.push({ limit: of, whom: [name, ...whom], ...rate });
  };
  claim('sessions', limit.sessions);
  claim('sessions-per-user', limit.sessionsPerUser, ...(user === undefined ? [] : [user]));
  claim('sessions-per-address', limit.sessionsPerAddress, network(client));
  claimRate('rate-per-address', limit.ratePerAddress, network(client));
  claimRate('rate', limit.rate);
  return claims;
}

const NONE: readonly Claim[] = [];

/**
 * What counts as one address: an IPv4 address, or the IPv6 /64 that one subscriber has. `width` 1 and 2 take what is around it, of
 * which a subscriber may have all: a /24 or /56, a /16 or /48.
 */
export function network(client: Ip, width: 0 | 1 | 2 = 0): string {
  const { family, words } = unmapped(client);
  const bits = 8 * width;
  const mark = width === 0 ? '' : `/${bits}`;
  return family === 4 ? `${words[3] >>> bits}${mark}` : `${words[0]}:${words[1] >>> bits}${mark}`;
}

/** The groups among which places and turns are shared out, the widest first: a user with many addresses counts once, and so does each user of one address. */
export function groupsOf(client: Ip, user?: string): readonly string[] {
  const networks = [network(client, 2), network(client, 1), network(client)];
  return user === undefined ? networks : [`user ${user}`, ...networks];
}
