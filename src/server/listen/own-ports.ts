import { networkInterfaces } from 'node:os';
import { LruMap } from '../../limits/lru-map.ts';
import type { Endpoint } from '../../wire/address.ts';
import { sourceFor } from '../../net/source.ts';
import type { LocalAddresses } from '../../policy/policy.ts';
import { embeddedIpv4, formatIp, ipOf, isWildcard, parseIp, unmapped, withoutZone } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';

type Transport = 'tcp' | 'udp';

/** Milliseconds for which the list of this machine's addresses is trusted. */
const ADDRESSES_TTL = 5000;
const OTHERS = 10_000;

/** A count for each TCP and UDP port. */
export function createPortMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(2 * PORTS * Int32Array.BYTES_PER_ELEMENT);
}

const PORTS = 65_536;

/**
 * An address to which a port is bound; `counted`: its contribution, 0 or 1, to the memory that all threads
 * share.
 */
interface Bound {
  readonly host: string;
  readonly counted: number;
}

const NONE: readonly Bound[] = [];

/** The ports on which garter itself listens and relays, and the addresses of this machine. */
export class OwnPorts implements LocalAddresses {
  readonly #bound = { tcp: new Map<number, Bound[]>(), udp: new Map<number, Bound[]>() };
  #addresses = readAddresses() ?? new Set<string>();
  /** Whether an address that is not in the list nevertheless belongs to this machine. */
  readonly #others = new LruMap<boolean>(OTHERS);
  #readAt: number = performance.now();
  /** Ports that this and other threads have bound. */
  readonly #counts: Int32Array;

  constructor(memory: SharedArrayBuffer = createPortMemory()) {
    this.#counts = new Int32Array(memory);
  }

  /**
   * Marks a port as garter's own until the returned function is called. `everywhere`: every thread registers
   * it itself.
   */
  add(endpoint: Endpoint, transport: Transport, everywhere = false): () => void {
    const { port } = endpoint;
    const one: Bound = { host: formatIp(unmapped(ipOf(endpoint.host)!)), counted: everywhere ? 0 : 1 };
    const bound = this.#bound[transport];
    const all = bound.get(port);
    if (all === undefined) bound.set(port, [one]);
    else all.push(one);
    const index = indexOf(port, transport);
    Atomics.add(this.#counts, index, one.counted);
    return () => {
      const left = bound.get(port) ?? [];
      const at = left.indexOf(one);
      if (at < 0) return;
      left.splice(at, 1);
      if (left.length === 0) bound.delete(port);
      Atomics.sub(this.#counts, index, one.counted);
    };
  }

  /** In any spelling, including NAT64 and 6to4. */
  isOwnPort(address: Ip, port: number, transport: Transport): boolean {
    const ip = unmapped(address);
    const inside = embeddedIpv4(ip);
    return (
      this.#isBound(ip, port, transport) || (inside !== undefined && this.#isBound(inside, port, transport))
    );
  }

  isSelf(ip: Ip): boolean {
    const judged = unmapped(ip);
    // 127.0.0.0/8 and the unspecified addresses also reach this machine, though no interface lists them all.
    if (
      judged.family === 4
        ? judged.words[3] >>> 24 === 127 || judged.words[3] === 0
        : judged.words.every((word) => word === 0)
    )
      return true;
    const now = performance.now();
    if (now - this.#readAt > ADDRESSES_TTL) {
      this.#readAt = now;
      const addresses = readAddresses();
      // When out of descriptors, the old list is trusted for longer.
      if (addresses !== undefined) {
        this.#addresses = addresses;
        this.#others.clear();
      }
    }
    const host = formatIp(judged);
    return this.#addresses.has(host) || this.#isReachedFromItself(host);
  }

  /** For a thread that ends without closing its ports. */
  forgetAll(): void {
    for (const transport of ['tcp', 'udp'] as const) {
      for (const [port, bound] of this.#bound[transport])
        for (const { counted } of bound) Atomics.sub(this.#counts, indexOf(port, transport), counted);
      this.#bound[transport].clear();
    }
  }

  #isBound(ip: Ip, port: number, transport: Transport): boolean {
    const bound = this.#bound[transport].get(port) ?? NONE;
    const counted = bound.reduce((sum, one) => sum + one.counted, 0);
    // The addresses of another thread's ports are not known here.
    if (Atomics.load(this.#counts, indexOf(port, transport)) > counted && this.isSelf(ip)) return true;
    if (bound.length === 0) return false;
    const asked = formatIp(ip);
    return bound.some(
      ({ host }) =>
        host === asked ||
        (isWildcard(host) && this.isSelf(ip)) ||
        (isWildcard(asked) && this.isSelf(parseIp(host)!)),
    );
  }

  /** The list omits interfaces without a carrier (an idle bridge), whose addresses work nevertheless. */
  #isReachedFromItself(host: string): boolean {
    const known = this.#others.get(host);
    if (known !== undefined) return known;
    let own: boolean;
    try {
      own = sourceFor(host) === host;
    } catch {
      return true; // unknown, so assume the worst
    }
    this.#others.set(host, own);
    return own;
  }
}

/** `undefined` when the kernel cannot be asked, for want of a descriptor. */
function readAddresses(): Set<string> | undefined {
  try {
    const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    return new Set(all.map(({ address }) => withoutZone(address)));
  } catch {
    return undefined;
  }
}

function indexOf(port: number, transport: Transport): number {
  return transport === 'tcp' ? port : PORTS + port;
}
