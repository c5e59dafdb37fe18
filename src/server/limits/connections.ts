import type { Phase } from '../../audit/record.ts';
import { connectionClaims, groupsOf } from '../../limits/claims.ts';
import type { Claim } from '../../limits/claims.ts';
import { Crowd } from '../../limits/crowd.ts';
import type { Lease, Limits } from '../../limits/limits.ts';
import type { Ip } from '../../wire/ip.ts';
import { monotonic } from '../clock.ts';
import { Failure } from '../failure.ts';
import type { MemoryWatch } from './memory.ts';
import type { ConnectionLimitSettings } from '../settings.ts';

/** The part of a session that these limits use. */
export interface WaitingConnection {
  readonly ip: Ip;
  readonly phase: Phase;
  /** Its crowd among the connections that have made no request yet. */
  waitsIn: Crowd<WaitingConnection> | undefined;
  connectionLease: Lease | undefined;
  stop(failure: Failure): void;
}

/**
 * The limits that apply while only the client's address is known. Connections without a request give way to
 * newcomers, first those of the network that has the most: a flood crowds itself out, and a newcomer from
 * elsewhere gets in.
 */
export class ConnectionLimits {
  #settings: ConnectionLimitSettings;
  #claims: (client: Ip) => readonly Claim[];
  readonly #limits: Limits;
  readonly #memory: MemoryWatch;
  readonly #random: () => number;
  /** The connections without a request, by network. */
  readonly #waiting = new Crowd<WaitingConnection>();
  /** Those of all threads. Only connections of this thread can be dropped here. */
  readonly #count: Int32Array;
  readonly #threads: number;
  #ours = 0;

  /** `waiting`: memory for one number, shared by all threads. `random` returns numbers in [0, 1). */
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

  /** Admits a connection, possibly by ending another; throws the Failure of one that is refused. */
  enter(session: WaitingConnection, open: number): void {
    if (open > this.#memory.cap) throw Failure.limit('memory', session.phase);
    const claims = this.#claims(session.ip);
    this.#add(session);
    let acquired = this.#limits.acquire(claims, monotonic());
    if ('refused' in acquired && acquired.refused === 'connections' && this.#makeRoom(session))
      acquired = this.#limits.acquire(claims, monotonic());
    if ('refused' in acquired) throw Failure.limit(acquired.refused, session.phase);
    session.connectionLease = acquired.lease;
    const others = Atomics.load(this.#count, 0) - 1;
    if (!this.#isCrowd(others) || this.#makeRoom(session)) return;
    // The crowd may be in another thread, which makes room there.
    if (this.#ours - 1 < Math.floor(others / this.#threads)) return;
    throw Failure.limit('unauthenticated', session.phase);
  }

  /** Its password is being checked. Such connections give way only when they outnumber the silent ones. */
  checks(session: WaitingConnection): void {
    if (session.waitsIn === undefined) return;
    session.waitsIn.leave(session);
    session.waitsIn = this.#waiting.join(['checked', ...groupsOf(session.ip)], session);
  }

  /** Its request has arrived, or it has gone. */
  stopsWaiting(session: WaitingConnection): void {
    if (session.waitsIn === undefined) return;
    session.waitsIn.leave(session);
    session.waitsIn = undefined;
    this.#ours--;
    Atomics.sub(this.#count, 0, 1);
  }

  /** For a thread that ends: its sessions no longer count. */
  forgetAll(): void {
    Atomics.sub(this.#count, 0, this.#ours);
    this.#ours = 0;
  }

  #add(session: WaitingConnection): void {
    session.waitsIn = this.#waiting.join(['silent', ...groupsOf(session.ip)], session);
    this.#ours++;
    Atomics.add(this.#count, 0, 1);
  }

  #isCrowd(count: number): boolean {
    return count >= this.#settings.unauthenticated.start && this.#random() * 100 < this.#percentage(count);
  }

  /** Ends another connection without a request; false when the newcomer belongs to the largest crowd. */
  #makeRoom(newcomer: WaitingConnection): boolean {
    const crowd = this.#waiting.largest(this.#random);
    const { oldest } = crowd;
    if (crowd === newcomer.waitsIn || oldest === undefined) return false;
    this.stopsWaiting(oldest);
    if (oldest.connectionLease !== undefined) this.#limits.release(oldest.connectionLease);
    oldest.stop(Failure.limit('unauthenticated', oldest.phase));
    return true;
  }

  /** The probability of dropping a connection, in percent. */
  #percentage(count: number): number {
    const { start, percent, full } = this.#settings.unauthenticated;
    if (count >= full) return 100;
    return percent + ((100 - percent) * (count - start)) / (full - start);
  }
}
