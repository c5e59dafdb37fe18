import { groupsOf } from '../limits/claims.ts';
import { LruMap } from '../limits/lru-map.ts';
import { ipOf } from '../wire/ip.ts';

export interface BackOffOptions {
  /** Milliseconds on a clock that never jumps. @default performance.now */
  readonly now?: () => number;
  /** Counts kept at most; the oldest goes first. @default 10_000 */
  readonly counts?: number;
  /** Addresses and logins from them that are remembered as good, and as many networks. @default 100_000 */
  readonly known?: number;
}

/** Failures before the first delay, which is doubled with each further one. */
const FREE = 5;
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 15 * 60_000;
/** The longest delay that an address gets once it has logged in. */
const LONGEST_DELAY_KNOWN = 1000;
/** Failures of a login that was good before, until its delay grows beyond that: so many are no slips of its owner. */
const SLIPS = 20;
/** A count is forgotten so long after the last failure. */
const MEMORY = 60 * 60_000;

interface Count {
  readonly failures: number;
  readonly last: number;
  /** Attempts before this time are refused. */
  readonly until: number;
}

/** A count that an attempt is held against, and the longest delay that it can bring, up to so many failures. */
interface Charge {
  readonly key: string;
  readonly longest: number;
  /** @default all */
  readonly slips?: number;
}

/**
 * Slows down guessing. Failures are counted per address (IPv6: per /64) and per user name, whether it exists or not.
 *
 * An address that has logged in is not locked out: its delay stays at a second, and for the user that it logged in as
 * it has a count of its own, so that neither strangers who guess at that name nor neighbours behind the same address
 * who fail under another name can hold it up. Only when that very login fails again and again are neighbours guessing at it, and then it is
 * slowed down like any other.
 *
 * A success does not clear the count of the user name, nor that of the login: else every login of the owner would give the guessers new tries.
 */
export class BackOff {
  readonly #now: () => number;
  readonly #counts: LruMap<Count>;
  /** Addresses, and `address user`. */
  readonly #known: LruMap<true>;
  /** Those around known addresses. */
  readonly #networks: LruMap<true>;

  constructor(options: BackOffOptions = {}) {
    this.#now = options.now ?? ((): number => performance.now());
    this.#counts = new LruMap(options.counts ?? 10_000);
    this.#known = new LruMap(options.known ?? 100_000);
    this.#networks = new LruMap(options.known ?? 100_000);
  }

  /** True while an attempt must be refused unlooked-at. */
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
   * The groups among which turns are shared out: addresses that have logged in, those in a near or a wider network around one, and
   * strangers take turns, and the networks within each of these.
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

/** What counts as one address. */
function sourceOf(address: string): string {
  return networksOf(address).at(-1)!;
}

/** The networks of an address, the widest first; everything local is one. */
function networksOf(address: string): readonly string[] {
  const ip = ipOf(address);
  return ip === undefined ? ['local'] : groupsOf(ip);
}
