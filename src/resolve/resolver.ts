import type { EgressOptions } from '../net/egress.ts';
import type { Engine, Signal } from '../net/engine.ts';
import type { Spare } from '../limits/spare.ts';
import { formatIp, parseIp, type Ip } from '../wire/ip.ts';
import { Cache, type Fresh } from './cache.ts';
import { EdnsMemory } from './edns.ts';
import { Channels } from './encrypted.ts';
import { ResolveError } from './error.ts';
import { joinFamilies } from './families.ts';
import { addressesOf, fixedHosts, nameOf, parseHosts, type Hosts } from './hosts.ts';
import type { QueryType, Records } from './message.ts';
import { canonicalName, isWithin, reverseName } from './name.ts';
import { orderDestinations } from './order.ts';
import { Outlet } from './outlet.ts';
import { RereadFile } from './reread-file.ts';
import { servicesOf, type Services } from './services.ts';
import { Sources } from './sources.ts';
import { query } from './stub.ts';
import { DEFAULTS, parseResolvConf, type NameServer, type NameServers } from './system.ts';
import { FairQueue, type Asker } from '../limits/fair-queue.ts';

/** `prefer-ipv4`: both, but IPv4 first. */
export type Family = 'any' | 'prefer-ipv4' | 'ipv4' | 'ipv6';

/** Whether addresses of a family are used. */
export function takesFamily(wanted: Family, family: 4 | 6): boolean {
  return wanted === 'any' || wanted === 'prefer-ipv4' || wanted === `ipv${family}`;
}

/** The `resolve` section of the configuration. */
export interface ResolveOptions {
  /** Literal addresses, asked in this order. @default those of /etc/resolv.conf, without its search list */
  readonly servers?: readonly NameServer[];
  /** Names with literal addresses, which are then the only ones; in the form of `canonicalName`. @default none */
  readonly hosts?: Readonly<Record<string, readonly string[]>>;
  /** Limits answers to one family, or puts one first. */
  readonly family: Family;
  /** Milliseconds for one name in total. */
  readonly timeout: number;
  /** The egress of queries; requires an engine. @default the kernel's choice */
  readonly egress?: EgressOptions;
}

/** Dependencies on the host. */
export interface Machine {
  /** @default '/etc/hosts' */
  readonly hostsFile?: string;
  /** @default '/etc/resolv.conf' */
  readonly resolvConf?: string;
  /** Trusted issuers of name servers' certificates, in PEM. @default the system's */
  readonly ca?: readonly string[];
  /** A monotonic clock in milliseconds. @default performance.now */
  readonly now?: () => number;
  /** The local address used to reach a literal one. @default the kernel's choice */
  readonly sourceFor?: (host: string) => string | undefined;
  /** Sends queries that have an egress. */
  readonly engine?: Pick<Engine, 'connect' | 'udp'>;
  /** Descriptors for queries. @default unlimited */
  readonly spare?: Spare;
}

/** The group of queries made without a client. */
const ANYBODY: Asker = () => [''];

/** `least` queries can always run; each takes two sockets where a server is silent. */
const QUERIES = { running: 256, least: 2, each: 2, waiting: 1024 } as const;
const MAX_CACHED = 10_000;
/** Addresses used from one answer. */
const MAX_ADDRESSES = 32;
/** Names that must not be sent to a server (RFC 6761 sections 6.3 and 6.4, RFC 7686). */
const UNASKED: readonly string[] = ['localhost', 'invalid', 'onion'];

/**
 * Resolves names to addresses and back: from its own hosts, then the hosts file, then the cache, then the name servers. It never
 * uses the thread pool, and holds no socket or timer while idle, apart from encrypted channels in their last
 * seconds.
 */
export class Resolver implements Disposable {
  readonly options: ResolveOptions;
  readonly #now: () => number;
  readonly #fixed: Hosts;
  readonly #hosts: { readonly value: Hosts };
  readonly #servers: { readonly value: NameServers };
  readonly #turns: FairQueue;
  readonly #addresses: Cache<readonly Ip[]>;
  readonly #names: Cache<readonly string[]>;
  readonly #services: Cache<Services>;
  readonly #sources: Sources;
  readonly #channels: Channels;
  readonly #edns: EdnsMemory;
  readonly #closing = new AbortController();
  /** The servers that the cached answers came from. */
  #known: NameServers | undefined;

  constructor(options: ResolveOptions, machine: Machine = {}) {
    const { egress } = options;
    if (egress !== undefined && machine.engine === undefined)
      throw new TypeError('an egress needs an engine');
    const outlet = egress && new Outlet(machine.engine!, egress);
    const now = machine.now ?? ((): number => performance.now());
    this.options = options;
    this.#turns = new FairQueue({ ...QUERIES, spare: machine.spare });
    this.#now = now;
    this.#fixed = fixedHosts(options.hosts ?? {});
    this.#hosts = new RereadFile(machine.hostsFile ?? '/etc/hosts', parseHosts, now);
    this.#servers =
      options.servers === undefined
        ? new RereadFile(machine.resolvConf ?? '/etc/resolv.conf', parseResolvConf, now)
        : { value: { ...DEFAULTS, servers: options.servers, patience: options.timeout } };
    this.#addresses = new Cache(MAX_CACHED, now);
    this.#channels = new Channels(machine.ca, outlet);
    this.#edns = new EdnsMemory(now);
    this.#names = new Cache(MAX_CACHED, now);
    this.#services = new Cache(MAX_CACHED, now);
    this.#sources = new Sources(MAX_CACHED, now, machine.sourceFor ?? outlet?.sourceFor);
  }

  /**
   * The addresses of a name in RFC 6724 order, at least one; a literal resolves to itself. `family` narrows
   * the configured one. Where queries have to wait, the groups returned by `source` take turns. Rejects with
   * a ResolveError, or with the signal's reason.
   */
  async resolve(
    name: string,
    options: { readonly family?: Family; readonly source?: Asker | undefined; readonly signal?: Signal } = {},
  ): Promise<Ip[]> {
    const wanted: Wanted = (family) =>
      [this.options.family, options.family ?? 'any'].every((one) => takesFamily(one, family));
    const { source = ANYBODY } = options;
    const found = await this.#unlessAborted(options.signal, () => this.#find(name, wanted, source));
    if (found.length === 0)
      throw new ResolveError('ENOTFOUND', `${name}: no such name, or it has no address`);
    const prefersIpv4 = this.options.family === 'prefer-ipv4';
    return orderDestinations(found, (ip) => this.#sources.of(ip), prefersIpv4);
  }

  /** The name of an address. Rejects with a ResolveError, or with the signal's reason. */
  async reverse(
    ip: Ip,
    options: { readonly source?: Asker | undefined; readonly signal?: Signal } = {},
  ): Promise<string> {
    const [name] = await this.#unlessAborted(options.signal, () =>
      this.#findNames(ip, options.source ?? ANYBODY),
    );
    if (name === undefined) throw new ResolveError('ENOTFOUND', `${formatIp(ip)}: no name`);
    return name;
  }

  /**
   * The servers of a service such as `_socks5._tcp.example.org` (SRV), best first; none where the record
   * declares that there are none. The result is not cached. Rejects with a ResolveError, or with the signal's
   * reason.
   */
  async services(
    name: string,
    options: { readonly source?: Asker | undefined; readonly signal?: Signal } = {},
  ): Promise<Services> {
    const { source = ANYBODY } = options;
    const found = await this.#unlessAborted(options.signal, () => this.#findServices(name, source));
    if (found === NO_SERVICES)
      throw new ResolveError('ENOTFOUND', `${name}: no such service, or no server with a host name`);
    return found;
  }

  /** Rejects everything in progress with ECLOSED. */
  close(): void {
    this.#closing.abort(new ResolveError('ECLOSED', 'the resolver was closed'));
    this.#channels.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #find(text: string, wanted: Wanted, source: Asker): Promise<readonly Ip[]> {
    const literal = parseIp(text);
    if (literal !== undefined) return wanted(literal.family) ? [literal] : [];
    const name = canonicalName(text);
    if (name === undefined) throw new ResolveError('EBADNAME', `${JSON.stringify(text)}: not a host name`);
    const fixed = this.#fixed.addresses.get(name);
    if (fixed !== undefined) return fixed.filter((ip) => wanted(ip.family));
    const local = addressesOf(name, this.#hosts.value).filter((ip) => wanted(ip.family));
    if (local.length > 0 || UNASKED.some((domain) => isWithin(name, domain))) return local;

    const deadline = this.#now() + this.options.timeout;
    // No search list: the rules have judged this name, not its expansions.
    this.#nameServers();
    if (!wanted(4)) return wanted(6) ? this.#load(name, 'AAAA', deadline, source) : [];
    if (!wanted(6)) return this.#load(name, 'A', deadline, source);
    return joinFamilies(
      this.#load(name, 'AAAA', deadline, source),
      this.#load(name, 'A', deadline, source),
      (ip) => this.#sources.of(ip) !== undefined,
    );
  }

  #load(name: string, type: 'A' | 'AAAA', deadline: number, source: Asker): Promise<readonly Ip[]> {
    return shareQuery(this.#addresses, `${type} ${name}`, async () => {
      const { data, ttl } = await this.#ask(name, type, deadline, source);
      return {
        value: data.slice(0, MAX_ADDRESSES).flatMap((literal) => parseIp(literal) ?? []),
        ttl: ttl * 1000,
      };
    });
  }

  async #findNames(ip: Ip, source: Asker): Promise<readonly string[]> {
    const local = this.#fixed.names.get(formatIp(ip)) ?? nameOf(ip, this.#hosts.value);
    if (local !== undefined) return [local];
    const deadline = this.#now() + this.options.timeout;
    const name = reverseName(ip);
    return shareQuery(this.#names, name, async () => {
      const { data, ttl } = await this.#ask(name, 'PTR', deadline, source);
      return { value: data.flatMap((text) => canonicalName(text) ?? []), ttl: ttl * 1000 };
    });
  }

  async #findServices(text: string, source: Asker): Promise<Services> {
    const name = canonicalName(text);
    if (name === undefined) throw new ResolveError('EBADNAME', `${JSON.stringify(text)}: not a service name`);
    const deadline = this.#now() + this.options.timeout;
    this.#nameServers();
    return shareQuery(this.#services, name, async () => {
      const { services: records = [], ttl } = await this.#ask(name, 'SRV', deadline, source);
      const services = servicesOf(records);
      if (services === undefined) return { value: NO_SERVICES, ttl: ttl * 1000 };
      return { value: { services, ttl: ttl * 1000 }, ttl: 0 };
    });
  }

  async #ask(name: string, type: QueryType, deadline: number, source: Asker): Promise<Records> {
    const records = await this.#turns.run(source, () => {
      this.#closing.signal.throwIfAborted();
      const left = deadline - this.#now();
      if (left <= 0) throw new ResolveError('ETIMEOUT', `${name}: waited too long in the queue`);
      const means = { channels: this.#channels, memory: this.#edns };
      return query(name, type, this.#nameServers(), left, means, this.#closing.signal);
    });
    if (records === undefined)
      throw new ResolveError('EBUSY', `${name}: too many names are waiting to be resolved`);
    return records;
  }

  /** The servers to ask. When they have changed, earlier answers are dropped. */
  #nameServers(): NameServers {
    const servers = this.#servers.value;
    if (servers !== this.#known) {
      this.#known = servers;
      this.#addresses.clear();
      this.#names.clear();
      this.#services.clear();
    }
    return servers;
  }

  /**
   * An aborted call does not stop the query: other callers may wait for it, and the cache keeps the answer.
   */
  #unlessAborted<T>(signal: Signal | undefined, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#closing.signal.throwIfAborted();
      signal?.throwIfAborted();
      const abort = (): void => reject(signal?.reason);
      signal?.addEventListener('abort', abort, { once: true });
      work()
        .then(resolve, reject)
        .finally(() => signal?.removeEventListener('abort', abort));
    });
  }
}

type Wanted = (family: 4 | 6) => boolean;

/** Used when there is no usable record. */
const NO_SERVICES: Services = { services: [], ttl: 0 };

/**
 * A client sharing a query that lost its slot in the queue tries once more alone: the caller that started the
 * query may be part of a flood.
 */
async function shareQuery<T>(cache: Cache<T>, key: string, ask: () => Promise<Fresh<T>>): Promise<T> {
  let mine = false;
  try {
    return await cache.load(key, () => {
      mine = true;
      return ask();
    });
  } catch (error) {
    if (mine || !(error instanceof ResolveError) || error.code !== 'EBUSY') throw error;
    return cache.loadAnew(key, ask);
  }
}
