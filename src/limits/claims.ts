import { unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import type { Rate, RuleOptions } from '../policy/policy.ts';

/** The limits that count sessions. */
export type LimitName =
  | 'connections'
  | 'per-address'
  | 'sessions'
  | 'sessions-per-user'
  | 'sessions-per-address'
  | 'rate'
  | 'rate-per-address';

/** A claim on one unit of a limit. */
export interface Claim {
  readonly limit: LimitName;
  /** What the count belongs to: the rule, the user, the address. */
  readonly whom: readonly string[];
  readonly most: number;
  /** Milliseconds: at most `most` in this time. Absent: at most `most` at a time, until released. */
  readonly per?: number;
  /** Hash of the claim, filled in by `Limits` so that a repeated claim is hashed only once. */
  key?: readonly [low: number, high: number];
}

/** The top-level limits on connections. */
export interface ConnectionCounts {
  readonly connections: number;
  readonly perAddress?: number;
}

/** The claims of every connection: one shared by all, and one for its address. */
export function connectionClaims({ connections, perAddress }: ConnectionCounts): (client: Ip) => Claim[] {
  const all: Claim[] = [{ limit: 'connections', whom: [], most: connections }];
  if (perAddress === undefined) return () => all;
  return (client) => [...all, { limit: 'per-address', whom: [network(client)], most: perAddress }];
}

/**
 * The claims of a session on the limits of its rule. Rules are identified by name, so the count survives a
 * reload that changes a limit; sessions that began before a limit was configured are not counted. All clients
 * without a user count as one.
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
 * What counts as one address: an IPv4 address, or an IPv6 /64, which one subscriber has. `width` 1 and 2
 * return the surrounding network, all of which one subscriber may hold: a /24 or /56, a /16 or /48.
 */
export function network(client: Ip, width: 0 | 1 | 2 = 0): string {
  const { family, words } = unmapped(client);
  const bits = 8 * width;
  const mark = width === 0 ? '' : `/${bits}`;
  return family === 4 ? `${words[3] >>> bits}${mark}` : `${words[0]}:${words[1] >>> bits}${mark}`;
}

/**
 * The groups that slots and turns are divided among, widest first: a user with many addresses counts once,
 * and so does each user at one address.
 */
export function groupsOf(client: Ip, user?: string): readonly string[] {
  const networks = [network(client, 2), network(client, 1), network(client)];
  return user === undefined ? networks : [`user ${user}`, ...networks];
}
