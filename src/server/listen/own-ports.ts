import { networkInterfaces } from 'node:os';
import { LruMap } from '../../limits/lru-map.ts';
import type { Endpoint } from '../../wire/address.ts';
import { sourceFor } from '../../net/source.ts';
import type { LocalAddresses } from '../../policy/policy.ts';
import { embeddedIpv4, formatIp, ipOf, isWildcard, parseIp, unmapped, withoutZone } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';

type Transport = 'tcp' | 'udp';

/** How long the list of this machine's addresses is believed. */
const ADDRESSES_TTL = 5000;
const OTHERS = 10_000;

/** A count for each port of TCP and of UDP. */
export function createPortMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(2 * PORTS * Int32Array.BYTES_PER_ELEMENT);
}

const PORTS = 65_536;

/** An address that a port is bound at; `counted` in the memory of all threads: 0 or 1. */
interface Bound {
  readonly host: string;
  readonly counted: number;
}

const NONE: readonly Bound[] = [];

/** The ports that garter itself listens and relays on, and the addresses of this machine. */
export class OwnPorts implements LocalAddresses {
  readonly #bound = { tcp: new Map<number, Bound[]>(), udp: new Map<number, Bound[]>() };
  #addresses = readAddresses() ?? new Set<string>();
  /** Whether an address that is not in the list is one of this machine's after all. */
  readonly #others = new LruMap<boolean>(OTHERS);
  #readAt: number = performance.now();
  /** What this thread and others have bound. */
  readonly #counts: Int32Array;

  constructor(memory: SharedArrayBuffer = createPortMemory()) {
    this.#counts = new Int32Array(memory);
  }

  /** Notes a port as garter's own, until the returned function is called. `everywhere`: other threads know it themselves. */
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

  /** By whatever spelling: through NAT64 or 6to4 too. */
  isOwnPort(address: Ip, port: number, transport: Transport): boolean {
    const ip = unmapped(address);
    const inside = embeddedIpv4(ip);
    return (
      this.#isBound(ip, port, transport) || (inside !== undefined && this.#isBound(inside, port, transport))
    );
  }

  isSelf(ip: Ip): boolean {
    const judged = unmapped(ip);
    // 127.0.0.0/8 and the unspecified addresses reach this machine too, though no interface lists them all.
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
      // Out of descriptors, what was known is believed for longer.
      if (addresses !== undefined) {
        this.#addresses = addresses;
        this.#others.clear();
      }
    }
    const host = formatIp(judged);
    return this.#addresses.has(host) || this.#isReachedFromItself(host);
  }

  /** For a thread that ends and closes nothing by itself. */
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
    // Of another thread's ports nobody here knows the address.
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

  /** The list leaves out interfaces without a carrier (an idle bridge), whose addresses work all the same. */
  #isReachedFromItself(host: string): boolean {
    const known = this.#others.get(host);
    if (known !== undefined) return known;
    let own: boolean;
    try {
      own = sourceFor(host) === host;
    } catch {
      return true; // nobody knows, so it might be
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
