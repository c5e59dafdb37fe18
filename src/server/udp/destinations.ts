import type { EndDetail } from '../../audit/record.ts';
import type { Peer, UdpSocket } from '../../net/engine.ts';
import type { Destination, RuleOptions } from '../../policy/policy.ts';
import { judgeOpen } from '../../route/judge.ts';
import type { RoutedPermit } from '../../route/judge.ts';
import { formatAddress } from '../../wire/address.ts';
import type { Address } from '../../wire/address.ts';
import { destinationOf } from '../destination.ts';
import { Failure } from '../failure.ts';
import { authorize } from '../session/authorize.ts';
import type { Session } from '../session/session.ts';
import type { Share, Shares } from './shares.ts';
import type { Deciding, ServerState } from '../session/state.ts';
import { Allowed } from './udp-path.ts';
import type { UdpPath } from './udp-path.ts';

/**
 * Destinations that one association remembers. The oldest is forgotten first, and can then no longer answer.
 */
const DESTINATIONS = 4096;
/**
 * Bytes per destination, as measured with the header of its answers, but without its key; each character of
 * the key counts four times.
 */
const DESTINATION = 640;
/** Destinations that can be decided at the same time: each may occupy a slot in the queue for names. */
const DECIDING = 64;
/** Limits on waiting datagrams: for one destination, for all, and their bytes. */
const WAITING_PER_DESTINATION = 32;
const WAITING = 64;
const WAITING_BYTES = 128 * 1024;
/**
 * Milliseconds until a decision is made again: one that was not used, a refusal, an exhausted limit, and a
 * name that did not resolve.
 */
const UNUSED = 60_000;
const REFUSED = 60_000;
const LIMITED = 1000;
const FAILED = 5000;

/** The state of one destination. */
type Entry =
  | { readonly state: 'deciding'; readonly waiting: Uint8Array[] }
  | { readonly state: 'refused'; readonly until: number; readonly why: string }
  | Allowed;

/** The services that an association provides to its destinations. */
interface Outside {
  pathTo(routed: RoutedPermit): Promise<UdpPath>;
  /** The `room` bytes before `start` can be overwritten. */
  send(entry: Allowed, buffer: Uint8Array, start: number, end: number, room: number, now: number): void;
  /** `why` is one of garter's own reasons, or an error code. */
  dropped(why: string): void;
  /** Whether this many more bytes may be held in memory. */
  hasRoom(bytes: number): boolean;
  /** The bytes held have changed by this many. */
  holds(bytes: number): void;
}

/** A destination as text. For an address it equals the peer's key, so answers need no second look-up. */
export function keyOf({ host, port }: Address): string {
  return `${host} ${port}`;
}

/**
 * The destinations of one association. Each is decided by the rules on first use, and again when the rules
 * change; meanwhile datagrams wait for it, within limits. It is counted and metered under the rule that
 * allows it.
 */
export class Destinations {
  readonly #session: Session;
  readonly #state: Deciding & Pick<ServerState, 'log'>;
  readonly #shares: Shares;
  readonly #outside: Outside;
  readonly #entries = new Map<string, Entry>();
  /** By the key of the answering peer, where that differs from the destination's own. */
  readonly #answerers = new Map<string, Allowed[]>();
  /** Why this client gets no new destinations. */
  #revoked: EndDetail | undefined;
  #deciding = 0;
  #waiting = 0;
  #waitingBytes = 0;

  constructor(
    session: Session,
    state: Deciding & Pick<ServerState, 'log'>,
    shares: Shares,
    outside: Outside,
  ) {
    this.#session = session;
    this.#state = state;
    this.#shares = shares;
    this.#outside = outside;
  }

  /**
   * Sends a datagram, now or once its destination is decided, or drops it. `key` is the address as text; for
   * `room`, see `send`.
   */
  forward(key: string, address: Address, buffer: Uint8Array, start: number, end: number, room: number): void {
    const now = performance.now();
    const known = this.#entries.get(key);
    const entry =
      known === undefined || isOld(known, now) ? this.#begin(key, address, known, end - start) : known;
    switch (entry?.state) {
      case 'allowed':
        entry.usedAt = Math.floor(now);
        this.#outside.send(entry, buffer, start, end, room, now);
        break;
      case 'deciding':
        this.#wait(entry.waiting, buffer, start, end);
        break;
      case 'refused':
        this.#outside.dropped(entry.why);
        break;
      case undefined:
        this.#outside.dropped('overflow');
        break;
      default:
        entry satisfies never;
    }
  }

  /** The destination for which this peer answers, directly. */
  answerer(peer: Peer): Allowed | undefined {
    const entry = this.#entries.get(peer.key);
    if (entry?.state === 'allowed' && entry.answers === peer.key) return entry;
    return this.#answerers.get(peer.key)?.at(-1);
  }

  /** The same through upstreams. */
  upstreamAnswerer(answers: string): Allowed | undefined {
    return this.#answerers.get(answers)?.at(-1);
  }

  /** The number of decided destinations. */
  get known(): number {
    return this.#entries.size - this.#deciding;
  }

  /** The sockets through which destinations are reached. */
  get sockets(): ReadonlySet<UdpSocket> {
    const sockets = new Set<UdpSocket>();
    for (const entry of this.#entries.values()) if (entry.state === 'allowed') sockets.add(entry.socket);
    return sockets;
  }

  /** Forgets the destinations of a closed socket or an ended share. */
  forgetAll(gone: UdpSocket | Share): void {
    for (const [key, entry] of this.#entries)
      if (entry.state === 'allowed' && (entry.socket === gone || entry.share === gone)) this.#forget(key);
  }

  /** Forgets destinations that have been idle for as long as their rule allows, and expired refusals. */
  forgetSilent(now: number): void {
    for (const [key, entry] of this.#entries) {
      if (entry.state === 'allowed' ? now - entry.usedAt >= entry.share.idle : isOld(entry, now))
        this.#forget(key);
    }
  }

  /** Forgets a quarter of all: those that have been unused for longest. */
  forgetOldest(): void {
    const uses = Float64Array.from(this.#entries.values(), lastUse).toSorted();
    let left = Math.ceil(uses.length / 4);
    const last = uses[left - 1]!;
    for (const [key, entry] of this.#entries) {
      if (left === 0) break;
      if (lastUse(entry) > last) continue;
      this.#forget(key);
      left--;
    }
  }

  /**
   * Asks the rules again, about the addresses in use: a flow that is still allowed keeps its path, and counts
   * under the rule that allows it now. With `revoked`, the reason why the client as a whole is no longer
   * allowed, only destinations with `revoke: keep` stay; returns whether there are any.
   */
  recheck(revoked: EndDetail | undefined): boolean {
    this.#revoked = revoked;
    const facts = this.#session.facts('udp');
    let isLeft = false;
    for (const [key, entry] of this.#entries) {
      if (entry.state === 'refused') this.#forget(key);
      if (entry.state !== 'allowed') continue;
      isLeft ||= entry.isKept;
      if (entry.isKept) continue;
      const { destination, addresses } = entry;
      const decision =
        revoked === undefined ? judgeOpen(this.#state, facts, destination, addresses) : undefined;
      if (decision?.type === 'allow') this.#move(key, entry, decision.permit.rule);
      else this.#forget(key);
    }
    return isLeft;
  }

  #move(key: string, entry: Allowed, rule: RuleOptions): void {
    const before = entry.share;
    entry.isKept = rule.revoke === 'keep';
    if (rule.name === before.rule.name) return;
    try {
      entry.share = this.#shares.claim(rule);
      this.#shares.leave(before);
      this.#mix(entry.answers);
    } catch {
      // The next datagram determines which limit it was.
      this.#forget(key);
    }
  }

  /** Marks destinations with the same answering peer as mixed if their rules differ. */
  #mix(answers: string): void {
    const those = this.#answerers.get(answers);
    if (those === undefined) return;
    const direct = this.#entries.get(answers);
    const all = direct?.state === 'allowed' && direct.answers === answers ? [...those, direct] : those;
    if (all.every(({ share, isMixed }) => share === all[0]!.share && !isMixed)) return;
    for (const one of all) one.isMixed = true;
  }

  #wait(waiting: Uint8Array[], buffer: Uint8Array, start: number, end: number): void {
    const bytes = end - start;
    if (waiting.length >= WAITING_PER_DESTINATION || !this.#mayWait(bytes)) {
      this.#outside.dropped('overflow');
      return;
    }
    waiting.push(buffer.slice(start, end));
    this.#waiting++;
    this.#waitingBytes += bytes;
    this.#outside.holds(bytes);
  }

  #mayWait(bytes: number): boolean {
    const isFull = this.#waiting >= WAITING || this.#waitingBytes + bytes > WAITING_BYTES;
    return !isFull && this.#outside.hasRoom(bytes);
  }

  /** Appends an entry; beyond the limit, the first and thus oldest makes room. */
  #remember(key: string, entry: Entry): void {
    this.#forget(key);
    if (this.#entries.size >= DESTINATIONS) this.#forget(this.#entries.keys().next().value!);
    if (entry.state !== 'allowed') this.#entries.set(key, entry);
    else {
      const { answers, peer } = entry;
      // Keep only one of two equal strings.
      this.#entries.set(key === peer.key ? peer.key : key, entry);
      if (key !== answers) {
        const those = this.#answerers.get(answers) ?? [];
        if (those.length === 0) this.#answerers.set(answers, those);
        those.push(entry);
      }
      this.#mix(answers);
    }
    this.#outside.holds(sizeOf(key));
  }

  /** Forgets a destination; its peer can answer only if another destination leads to it. */
  #forget(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#outside.holds(-sizeOf(key));
    if (entry.state !== 'allowed') return;
    const those = this.#answerers.get(entry.answers);
    const at = those?.indexOf(entry) ?? -1;
    if (at >= 0) those!.splice(at, 1);
    if (those?.length === 0) this.#answerers.delete(entry.answers);
    this.#shares.leave(entry.share);
  }

  #refused(address: Address, error: unknown): Entry {
    const failure = Failure.from(error, 'request');
    const { id } = this.#session;
    const destination = formatAddress(address);
    this.#state.log.debug('datagram-refused', { id, destination, reason: failure.message, at: failure.at });
    const { by, detail } = failure;
    const wait = by === 'policy' ? REFUSED : by === 'limit' ? LIMITED : FAILED;
    const why = by === 'policy' ? 'refused' : by === 'limit' ? 'limit' : (detail ?? by);
    return { state: 'refused', until: performance.now() + wait, why };
  }

  /**
   * Begins to decide about a destination, unless too many are being decided or there is no room for it and
   * its first datagram: a destination that nothing is sent to must not answer. Its earlier state no longer
   * applies.
   */
  #begin(key: string, address: Address, before: Entry | undefined, bytes: number): Entry | undefined {
    if (this.#deciding >= DECIDING || !this.#mayWait(bytes) || !this.#outside.hasRoom(sizeOf(key)))
      return undefined;
    let entry: Entry;
    try {
      const destination = destinationOf(address);
      entry = { state: 'deciding', waiting: [] };
      // A rule that remains in use does not count a second session for this.
      const held = before?.state === 'allowed' ? this.#shares.claim(before.share.rule) : undefined;
      void this.#decide(key, address, destination, entry.waiting, held);
    } catch (error) {
      entry = this.#refused(address, error);
    }
    this.#remember(key, entry);
    return entry;
  }

  /** Asks the rules, then sends the waiting datagrams. */
  async #decide(
    key: string,
    address: Address,
    destination: Destination,
    waiting: readonly Uint8Array[],
    held: Share | undefined,
  ): Promise<void> {
    this.#deciding++;
    let entry: Entry;
    try {
      entry = await this.#allow(destination);
    } catch (error) {
      entry = this.#refused(address, error);
    }
    if (held !== undefined) this.#shares.leave(held);
    this.#deciding--;
    this.#waiting -= waiting.length;
    for (const { length } of waiting) {
      this.#waitingBytes -= length;
      this.#outside.holds(-length);
    }
    this.#remember(key, entry);
    const now = performance.now();
    for (const data of waiting) {
      if (entry.state === 'allowed') this.#outside.send(entry, data, 0, data.length, 0, now);
      else this.#outside.dropped(entry.state === 'refused' ? entry.why : 'refused');
    }
  }

  async #allow(destination: Destination): Promise<Allowed> {
    for (;;) {
      if (this.#revoked !== undefined) throw Failure.refusal(this.#revoked);
      const { decisions } = this.#state;
      const routed = await authorize(this.#session, 'udp', destination, this.#state);
      const share = this.#shares.claim(routed.permit.rule);
      try {
        const path = await this.#outside.pathTo(routed);
        // The entry does not exist yet, so neither `recheck` nor the end of its share could have reached it.
        if (decisions === this.#state.decisions && share.isOpen)
          return new Allowed(routed.permit, path, share);
      } catch (error) {
        this.#shares.leave(share);
        throw error;
      }
      this.#shares.leave(share);
    }
  }
}

/** Whether the state has expired. */
function isOld(entry: Entry, now: number): boolean {
  if (entry.state === 'allowed') return now - entry.usedAt >= UNUSED;
  return entry.state === 'refused' && now >= entry.until;
}

/** Refusals are the least valuable, and a pending decision is still awaited. */
function lastUse(entry: Entry): number {
  if (entry.state === 'allowed') return entry.usedAt;
  return entry.state === 'refused' ? -1 : Infinity;
}

function sizeOf(key: string): number {
  return DESTINATION + 4 * key.length;
}
