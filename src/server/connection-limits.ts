import { connectionClaims, network } from '../policy/claims.ts';
import type { Claim } from '../policy/claims.ts';
import type { Limits } from '../policy/limits.ts';
import type { Ip } from '../wire/ip.ts';
import { monotonic } from './clock.ts';
import { Failure } from './failure.ts';
import type { MemoryWatch } from './memory.ts';
import type { Session } from './session.ts';
import type { ConnectionLimitSettings } from './settings.ts';

/**
 * The limits that hold before anything is known of a client but its address. Of connections whose request has not come yet,
 * whoever holds most has to give way: a flood crowds out itself, and a newcomer from elsewhere gets in.
 */
export class ConnectionLimits {
  #settings: ConnectionLimitSettings;
  #claims: (client: Ip) => readonly Claim[];
  readonly #limits: Limits;
  readonly #memory: MemoryWatch;
  readonly #random: () => number;
  /** Those that have not made a request yet, the oldest first, by their address. */
  readonly #waiting = new Map<string, Set<Session>>();
  /** Of all threads. Whoever has to give way is one of this thread's. */
  readonly #count: Int32Array;
  readonly #threads: number;
  #ours = 0;

  /** `waiting`: memory for one number, which all threads share. `random` gives numbers from 0 to 1. */
  constructor(
    settings: ConnectionLimitSettings,
    limits: Limits,
    { waiting, threads }: { readonly waiting: SharedArrayBuffer; readonly threads: number },
    memory: MemoryWatch,
    random: () => number = Math.random,
  ) {
    this.#settings = settings;
    this.#claims = connectionClaims(settings);
    this.#limits = limits;
    this.#count = new Int32Array(waiting);
    this.#threads = threads;
    this.#memory = memory;
    this.#random = random;
  }

  /** After a reload. */
  use(settings: ConnectionLimitSettings): void {
    this.#settings = settings;
    this.#claims = connectionClaims(settings);
  }

  /** Lets a connection in, which may end another one; throws the Failure of one that has to stay out. */
  enter(session: Session, open: number): void {
    if (open > this.#memory.cap) throw Failure.limit('memory', session.phase);
    const acquired = this.#limits.acquire(this.#claims(session.ip), monotonic());
    if ('refused' in acquired) throw Failure.limit(acquired.refused, session.phase);
    session.connectionLease = acquired.lease;
    const address = network(session.ip);
    this.#makeRoom(address, session);
    this.#add(address, session);
  }

  /** Its request has come, or it has gone. */
  settled(session: Session): void {
    if (!session.waits) return;
    session.waits = false;
    const address = network(session.ip);
    const waiting = this.#waiting.get(address);
    if (waiting?.delete(session) !== true) return;
    this.#ours--;
    Atomics.sub(this.#count, 0, 1);
    if (waiting.size === 0) this.#waiting.delete(address);
  }

  /** For a thread that ends: its sessions do not count any more. */
  forgetAll(): void {
    Atomics.sub(this.#count, 0, this.#ours);
    this.#ours = 0;
    this.#waiting.clear();
  }

  #add(address: string, session: Session): void {
    const waiting = this.#waiting.get(address);
    if (waiting === undefined) this.#waiting.set(address, new Set([session]));
    else waiting.add(session);
    session.waits = true;
    this.#ours++;
    Atomics.add(this.#count, 0, 1);
  }

  #makeRoom(address: string, session: Session): void {
    const count = Atomics.load(this.#count, 0);
    if (count < this.#settings.unauthenticated.start) return;
    if (this.#random() * 100 >= this.#percentage(count)) return;
    const [crowd] = [...this.#waiting.values()].toSorted((a, b) => b.size - a.size);
    const mine = this.#waiting.get(address)?.size ?? 0;
    const [oldest] = crowd ?? [];
    if (crowd === undefined || oldest === undefined || mine >= crowd.size) {
      // The crowd may be in another thread, and makes room there.
      if (this.#ours < Math.floor(count / this.#threads)) return;
      throw Failure.limit('unauthenticated', session.phase);
    }
    this.settled(oldest);
    oldest.stop(Failure.limit('unauthenticated', oldest.phase));
  }

  /** How likely it is that somebody has to go, in 100. */
  #percentage(count: number): number {
    const { start, percent, full } = this.#settings.unauthenticated;
    if (count >= full) return 100;
    return percent + ((100 - percent) * (count - start)) / (full - start);
  }
}
