import type { Peer, UdpSocket } from '../net/engine.ts';
import { decide } from '../policy/decide.ts';
import type { Destination } from '../policy/policy.ts';
import type { Passage } from '../route/dial.ts';
import { addressOf } from '../wire/address.ts';
import type { Address } from '../wire/address.ts';
import type { Ip } from '../wire/ip.ts';
import { encodeUdpHeader } from '../wire/udp.ts';
import { destinationOf } from './destination.ts';
import { Failure } from './failure.ts';
import { obtainPassage } from './permit.ts';
import type { Session } from './session.ts';
import type { ServerState } from './state.ts';

/** Destinations that one association remembers; the oldest is forgotten first, and may no longer answer. */
const DESTINATIONS = 4096;
/** Destinations that are being decided at a time: each may take a place in the line for names. */
const DECIDING = 64;
/** Datagrams that wait for one destination to be decided, and for all. */
const WAITING_PER_DESTINATION = 32;
const WAITING = 64;
/** Milliseconds: an unused decision is made anew after so long; so is a refusal, and a name that did not resolve. */
const UNUSED = 60_000;
const REFUSED = 60_000;
const FAILED = 5000;

/** Where an association's datagrams go to, decided by the rules. */
export interface Way {
  readonly socket: UdpSocket;
  readonly peer: Peer;
  /** What upstreams want in front of the data. */
  readonly header: Uint8Array | undefined;
  /** Who may answer; of those who do so directly the key. */
  readonly answers: string;
}

/** What is known of one destination. */
type Entry =
  | { readonly state: 'deciding'; readonly waiting: Uint8Array[] }
  | { readonly state: 'refused'; readonly until: number }
  | {
      readonly state: 'allowed';
      readonly way: Way;
      /** Not known of a name that is passed on. */
      readonly ip: Ip | undefined;
      readonly destination: Destination;
      readonly keep: boolean;
      usedAt: number;
    };

/** What the ways need of their association. */
interface Outside {
  wayTo(passage: Passage): Promise<Way>;
  /** The `room` bytes before `start` may be written on. */
  send(way: Way, buffer: Uint8Array, start: number, end: number, room: number): void;
  dropped(why: 'refused' | 'overflow'): void;
}

/**
 * The destinations of one association. Each is decided by the rules when it is first used, and again when the rules change;
 * datagrams wait for it meanwhile, within limits.
 */
export class Ways {
  readonly #session: Session;
  readonly #state: ServerState;
  readonly #outside: Outside;
  readonly #entries = new Map<string, Entry>();
  /** The header that direct answers carry, by the peer they come from. */
  readonly #answerHeaders = new Map<string, Uint8Array>();
  /** How many allowed destinations lead to who may answer. */
  readonly #uses = new Map<string, number>();
  #deciding = 0;
  #waiting = 0;

  constructor(session: Session, state: ServerState, outside: Outside) {
    this.#session = session;
    this.#state = state;
    this.#outside = outside;
  }

  /** Sends a datagram, now or when its destination is decided, or drops it. `key` is the address as text; of `room` see `send`. */
  forward(key: string, address: Address, buffer: Uint8Array, start: number, end: number, room: number): void {
    const now = performance.now();
    const entry = this.#current(key, now) ?? this.#begin(key, address);
    switch (entry?.state) {
      case 'allowed':
        entry.usedAt = now;
        this.#outside.send(entry.way, buffer, start, end, room);
        break;
      case 'deciding':
        if (entry.waiting.length < WAITING_PER_DESTINATION && this.#waiting < WAITING) {
          entry.waiting.push(buffer.slice(start, end));
          this.#waiting++;
          break;
        }
        this.#outside.dropped('overflow');
        break;
      case 'refused':
        this.#outside.dropped('refused');
        break;
      case undefined:
        this.#outside.dropped('overflow');
        break;
      default:
        entry satisfies never;
    }
  }

  /** The header for an answer of this peer, if it may answer. */
  answerHeader(peer: Peer): Uint8Array | undefined {
    return this.#answerHeaders.get(peer.key);
  }

  /** From now on this peer may answer; gives the header that its answers carry. */
  expect(peer: Peer): Uint8Array {
    const header = encodeUdpHeader({ fragment: 0, address: addressOf(peer.host, peer.port) });
    this.#answerHeaders.set(peer.key, header);
    if (this.#answerHeaders.size > DESTINATIONS) this.#answerHeaders.delete(oldest(this.#answerHeaders));
    return header;
  }

  /** Whether somebody may answer through upstreams. */
  mayAnswer(answers: string): boolean {
    return this.#uses.has(answers);
  }

  /** The destinations behind a socket that is no more. */
  forgetAll(socket: UdpSocket): void {
    for (const [key, entry] of this.#entries)
      if (entry.state === 'allowed' && entry.way.socket === socket) this.#forget(key);
  }

  /** Asks the rules again, about the addresses in use: a flow that is still allowed stays where it goes. */
  recheck(): void {
    const facts = this.#session.facts('udp');
    for (const [key, entry] of this.#entries) {
      if (entry.state === 'refused') this.#entries.delete(key);
      if (entry.state !== 'allowed' || entry.keep) continue;
      const { destination, ip } = entry;
      const addresses = ip === undefined ? 'passed-on' : [ip];
      const decision = decide(this.#state.policy, facts, destination, addresses, this.#state.ports);
      if (decision.type === 'allow') continue;
      this.#forget(key);
    }
  }

  /** What is known of a destination, unless it is too old. */
  #current(key: string, now: number): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry?.state === 'refused' && now >= entry.until) return undefined;
    if (entry?.state !== 'allowed' || now - entry.usedAt < UNUSED) return entry;
    this.#forget(key);
    return undefined;
  }

  /** Puts an entry last; beyond the limit the first, which is the oldest, makes room. */
  #remember(key: string, entry: Entry): void {
    this.#forget(key);
    if (this.#entries.size >= DESTINATIONS) this.#forget(oldest(this.#entries));
    this.#entries.set(key, entry);
    if (entry.state !== 'allowed') return;
    const { peer, header, answers } = entry.way;
    this.#uses.set(answers, (this.#uses.get(answers) ?? 0) + 1);
    if (header === undefined) this.expect(peer);
  }

  /** A destination that is no longer one; its peer may answer only if another leads there. */
  #forget(key: string): void {
    const entry = this.#entries.get(key);
    this.#entries.delete(key);
    if (entry?.state !== 'allowed') return;
    const { answers } = entry.way;
    const left = this.#uses.get(answers)! - 1;
    if (left > 0) {
      this.#uses.set(answers, left);
      return;
    }
    this.#uses.delete(answers);
    this.#answerHeaders.delete(answers);
  }

  #refused(key: string, error: unknown): Entry {
    const failure = Failure.from(error, 'request');
    const { id } = this.#session;
    this.#state.log.debug('datagram refused', { id, destination: key, reason: failure.message });
    return { state: 'refused', until: performance.now() + (failure.by === 'policy' ? REFUSED : FAILED) };
  }

  /** Begins to decide about a destination, unless that is done for too many. */
  #begin(key: string, address: Address): Entry | undefined {
    if (this.#deciding >= DECIDING) return undefined;
    let entry: Entry;
    try {
      if (address.port === 0) throw Failure.refusal('port-0');
      const destination = destinationOf(address);
      entry = { state: 'deciding', waiting: [] };
      void this.#decide(key, destination, entry.waiting);
    } catch (error) {
      entry = this.#refused(key, error);
    }
    this.#remember(key, entry);
    return entry;
  }

  /** Asks the rules, then sends what has waited. */
  async #decide(key: string, destination: Destination, waiting: readonly Uint8Array[]): Promise<void> {
    this.#deciding++;
    let entry: Entry;
    try {
      let decisions: number;
      let passage: Passage;
      let way: Way;
      do {
        ({ decisions } = this.#state);
        passage = await obtainPassage(this.#session, 'udp', destination, this.#state);
        way = await this.#outside.wayTo(passage);
        // `recheck` asks about the destinations in use, and this is none yet.
      } while (decisions !== this.#state.decisions);
      entry = allowed(passage, way);
    } catch (error) {
      entry = this.#refused(key, error);
    }
    this.#deciding--;
    this.#waiting -= waiting.length;
    this.#remember(key, entry);
    for (const data of waiting) {
      if (entry.state === 'allowed') this.#outside.send(entry.way, data, 0, data.length, 0);
      else this.#outside.dropped('refused');
    }
  }
}

function allowed({ permit, addresses }: Passage, way: Way): Entry {
  const { destination, rule } = permit;
  const keep = rule.revoke === 'keep';
  return { state: 'allowed', way, ip: addresses[0], destination, keep, usedAt: performance.now() };
}

function oldest(map: ReadonlyMap<string, unknown>): string {
  return map.keys().next().value!;
}
