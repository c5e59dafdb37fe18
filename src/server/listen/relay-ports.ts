import { LruMap } from '../../limits/lru-map.ts';
import type { Engine, UdpEvents, UdpSocket } from '../../net/engine.ts';
import type { PortRange } from '../../policy/policy.ts';
import { Reply } from '../../wire/socks5.ts';
import { codeOf } from '../../wire/error-code.ts';
import { Failure } from '../failure.ts';

/**
 * Ports that are tried for one request: other threads and programs may hold some of those that are free here.
 */
const TRIES = 32;
/** Milliseconds until a port that was in use elsewhere is tried again. */
const RETRY_DELAY = 1000;
/** Lists that are kept; a client on this machine can connect to any of 16 million addresses. */
const LISTS = 64;

/** A socket, and the function that returns its port once the socket is closed. */
export interface RelayPort {
  readonly socket: UdpSocket;
  readonly release: () => void;
}

/** What was opened at a port of a range, and the function that returns the port once it is closed. */
export interface AtPort<T> {
  readonly opened: T;
  readonly release: () => void;
}

/** The codes of exhausted ranges. */
const EXHAUSTED = { udp: 'udp-ports', tcp: 'bind-ports' } as const;

/**
 * The ports of the listeners' ranges that are free in this thread: for the client sides of associations, and
 * for the peers of BIND.
 */
export class RelayPorts {
  readonly #engine: Pick<Engine, 'udp'>;
  readonly #now: () => number;
  /** By transport, address and range. */
  readonly #lists = new LruMap<FreePorts>(LISTS);

  /** `now`: a monotonic clock in milliseconds. */
  constructor(engine: Pick<Engine, 'udp'>, now: () => number = () => performance.now()) {
    this.#engine = engine;
    this.#now = now;
  }

  /** Binds a port for datagrams, within the range if there is one. */
  async bind(host: string, range: PortRange | undefined, events: UdpEvents): Promise<RelayPort> {
    const { opened: socket, release } = await this.open('udp', host, range, (port) =>
      this.#engine.udp({ host, port }, events),
    );
    return { socket, release };
  }

  /** Opens a port within the range if there is one; `open` gets 0 for any free one. */
  async open<T>(
    transport: 'udp' | 'tcp',
    host: string,
    range: PortRange | undefined,
    open: (port: number) => Promise<T>,
  ): Promise<AtPort<T>> {
    if (range === undefined) return { opened: await open(0), release: () => {} };
    const key = `${transport} ${host} ${range.first}-${range.last}`;
    const list = this.#listOf(key, range);
    for (let tries = 0; tries < TRIES; tries++) {
      const port = list.take(this.#now());
      if (port === undefined) break;
      try {
        const opened = await open(port);
        return { opened, release: () => this.#release(port, key, list) };
      } catch (error) {
        if (codeOf(error) === 'EADDRINUSE') {
          list.setAside(port, this.#now() + RETRY_DELAY);
          continue;
        }
        this.#release(port, key, list);
        throw error;
      }
    }
    throw new Failure('limit', 'bind', EXHAUSTED[transport], Reply.generalFailure);
  }

  #listOf(key: string, range: PortRange): FreePorts {
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    const list = new FreePorts(range);
    this.#lists.set(key, list);
    return list;
  }

  /** A range without ports in use needs no list. */
  #release(port: number, key: string, list: FreePorts): void {
    list.put(port);
    if (list.isWhole && this.#lists.get(key) === list) this.#lists.delete(key);
  }
}

/** The ports of a range that may be free, unordered. */
class FreePorts {
  readonly #ports: Uint16Array;
  #count: number;
  /** Ports in use elsewhere, with the time of the next try; the oldest first. */
  readonly #others = new Map<number, number>();

  constructor({ first, last }: PortRange) {
    this.#ports = Uint16Array.from({ length: last - first + 1 }, (_, i) => first + i);
    this.#count = this.#ports.length;
  }

  get isWhole(): boolean {
    return this.#count === this.#ports.length;
  }

  /** A random one. */
  take(now: number): number | undefined {
    for (const [port, until] of this.#others) {
      if (now < until) break;
      this.#others.delete(port);
      this.put(port);
    }
    if (this.#count === 0) return undefined;
    const at = Math.floor(Math.random() * this.#count);
    const port = this.#ports[at]!;
    this.#ports[at] = this.#ports[--this.#count]!;
    return port;
  }

  put(port: number): void {
    this.#ports[this.#count++] = port;
  }

  setAside(port: number, until: number): void {
    this.#others.set(port, until);
  }
}
