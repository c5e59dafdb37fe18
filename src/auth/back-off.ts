import { groupsOf } from '../limits/claims.ts';
import { LruMap } from '../limits/lru-map.ts';
import { ipOf } from '../wire/ip.ts';

export interface BackOffOptions {
  /** Milliseconds of a monotonic clock. @default performance.now */
  readonly now?: () => number;
  /** The most counts that are kept; the oldest is dropped first. @default 10_000 */
  readonly counts?: number;
  /** Addresses, and logins from them, that are remembered as known, and as many networks. @default 100_000 */
  readonly known?: number;
}

/** Failures before the first delay, which doubles with each further one. */
const FREE = 5;
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 15 * 60_000;
/** The longest delay of an address that has logged in. */
const LONGEST_DELAY_KNOWN = 1000;
/** Failures of a known login before its delay exceeds that: so many are not its owner's typing errors. */
const SLIPS = 20;
/** Milliseconds after the last failure until a count is forgotten. */
const MEMORY = 60 * 60_000;

interface Count {
  readonly failures: number;
  readonly last: number;
  /** Attempts before this time are refused. */
  readonly until: number;
}

/** A count that applies to an attempt, and the longest delay that it can cause within `slips` failures. */
interface Charge {
  readonly key: string;
  readonly longest: number;
  /** @default unlimited */
  readonly slips?: number;
}

/**
 * Slows down guessing. Failures are counted per address (IPv6: per /64) and per user name, whether it exists
 * or not.
 *
 * An address that has logged in is not locked out: its delay is limited to a second, and for the user that
 * logged in there it has a separate count, so it cannot be held up by strangers who guess at that name, or by
 * neighbours behind the same address who fail under another name. Only if that very login fails again and
 * again are neighbours guessing at it; then it is slowed down like any other.
 *
 * A success does not clear the count of the user name, nor that of the login: otherwise every login of the
 * owner would give new attempts to the guessers.
 */
export class BackOff {
  readonly #now: () => number;
  readonly #counts: LruMap<Count>;
  /** Addresses, and `address user`. */
  readonly #known: LruMap<true>;
  /** The networks around known addresses. */
  readonly #networks: LruMap<true>;

  constructor(options: BackOffOptions = {}) {
    this.#now = options.now ?? ((): number => performance.now());
    this.#counts = new LruMap(options.counts ?? 10_000);
    this.#known = new LruMap(options.known ?? 100_000);
    this.#networks = new LruMap(options.known ?? 100_000);
  }

  /** True while an attempt must be refused without a check. */
  holds(user: string, address: string): boolean {
    const now = this.#now();
    return this.#charges(user, address).some(({ key }) => now < (this.#counts.get(key)?.until ?? 0));
  }

  failed(user: string, address: string): void {
    const now = this.#now();
    for (const { key, longest, slips = Infinity } of this.#charges(user, address)) {
      const count = this.#counts.get(key);
      const failures = count !== undefined && now - count.last < MEMORY ? count.failures + 1 : 1;
      this.#counts.set(key, { failures, last: now, until: now + delayAfter(failures, longest, slips) });
    }
  }

  succeeded(user: string, address: string): void {
    const source = sourceOf(address);
    for (const key of [source, `${source} ${user}`]) this.#known.set(key, true);
    this.#counts.delete(source);
    for (const network of networksOf(address).slice(0, -1)) this.#networks.set(network, true);
  }

  /**
   * The groups among which turns are shared: first known addresses, their near and wider networks, and
   * strangers take turns; then the networks within each of these.
   */
  groups(address: string): readonly string[] {
    const networks = networksOf(address);
    const knownFrom = networks.findLastIndex((network, i) =>
      (i === networks.length - 1 ? this.#known : this.#networks).get(network),
    );
    return [`known ${knownFrom}`, ...networks];
  }

  #charges(user: string, address: string): readonly Charge[] {
    const source = sourceOf(address);
    const login = `${source} ${user}`;
    if (this.#known.get(login)) return [{ key: login, longest: LONGEST_DELAY_KNOWN, slips: SLIPS }];
    return [
      { key: source, longest: this.#known.get(source) ? LONGEST_DELAY_KNOWN : LONGEST_DELAY },
      { key: `user ${user}`, longest: LONGEST_DELAY },
    ];
  }
}

function delayAfter(failures: number, longest: number, slips: number): number {
  if (failures > slips) return Math.min(FIRST_DELAY * 2 ** (failures - slips), LONGEST_DELAY);
  return failures < FREE ? 0 : Math.min(FIRST_DELAY * 2 ** (failures - FREE), longest);
}

/** The unit that counts as one address. */
function sourceOf(address: string): string {
  return networksOf(address).at(-1)!;
}

/** The networks of an address, the widest first; all local clients share one. */
function networksOf(address: string): readonly string[] {
  const ip = ipOf(address);
  return ip === undefined ? ['local'] : groupsOf(ip);
}
