import type { Lease } from '../../limits/limits.ts';
import type { RuleOptions } from '../../policy/policy.ts';
import type { Flows } from '../limits/bandwidths.ts';
import { Failure } from '../failure.ts';
import { claim } from '../session/authorize.ts';
import type { Metered } from '../limits/quotas.ts';
import type { Counters } from '../session/counters.ts';
import type { Session } from '../session/session.ts';
import type { Counting, ServerState } from '../session/state.ts';

/** The state that shares use. */
type Sharing = Counting & Pick<ServerState, 'bandwidths' | 'sessions' | 'timeouts'>;

/** One association's use of one rule, which counts as one session. */
export class Share implements Metered, Counters {
  sent = 0;
  received = 0;
  readonly rule: RuleOptions;
  readonly flows: Flows;
  /** Milliseconds for which a destination may be silent. */
  readonly idle: number;
  /** By `performance.now`. */
  readonly endsAt: number;
  /** The number of destinations under this rule; the share ends with the last of them. */
  destinations = 0;
  isOpen = true;
  lease: Lease | undefined;
  readonly #session: Session;
  readonly #shares: Shares;

  constructor(rule: RuleOptions, session: Session, shares: Shares, { bandwidths, timeouts }: Sharing) {
    this.rule = rule;
    this.flows = bandwidths.flows(rule);
    this.idle = rule.limit?.idle ?? timeouts.udpIdle;
    this.endsAt = performance.now() + (rule.limit?.duration ?? Infinity);
    this.#session = session;
    this.#shares = shares;
  }

  get counters(): Counters {
    return this;
  }

  get identity(): Session['identity'] {
    return this.#session.identity;
  }

  get phase(): Session['phase'] {
    return this.#session.phase;
  }

  /** Its quota is used up; the association continues under other rules. */
  stop(): void {
    this.#shares.end(this);
  }
}

/** The shares of one association, by the names of their rules, so they outlive a reload. */
export class Shares {
  readonly #session: Session;
  readonly #state: Sharing;
  readonly #ended: (share: Share) => void;
  readonly #open = new Map<string, Share>();
  /** Rules whose `duration` has ended a share: they must not start another. */
  readonly #over = new Set<string>();
  readonly #used = new Map<string, RuleOptions>();
  #closed = false;

  /** `ended` must forget the destinations of a share. */
  constructor(session: Session, state: Sharing, ended: (share: Share) => void) {
    this.#session = session;
    this.#state = state;
    this.#ended = ended;
  }

  /** Every rule that has been used, in the order of first use. */
  get used(): readonly RuleOptions[] {
    return [...this.#used.values()];
  }

  /** The longest and shortest idle time-outs of the rules in use; `undefined` when there are none. */
  get idle(): { readonly most: number; readonly least: number } | undefined {
    if (this.#open.size === 0) return undefined;
    const idle = [...this.#open.values()].map((share) => share.idle);
    return { most: Math.max(...idle), least: Math.min(...idle) };
  }

  /** Whether any rule is in use. */
  get isAny(): boolean {
    return this.#open.size > 0;
  }

  /** For datagrams whose rule is ambiguous: the bandwidths of all rules in use. */
  get receive(): readonly Flows['receive'][] {
    return [...this.#open.values()].map(({ flows }) => flows.receive);
  }

  /** Such datagrams count under each rule. */
  received(bytes: number): void {
    for (const share of this.#open.values()) share.received += bytes;
  }

  /** Adds a destination; throws the Failure of an exhausted limit of the rule. */
  claim(rule: RuleOptions): Share {
    const share = this.#open.get(rule.name) ?? this.#begin(rule);
    share.destinations++;
    return share;
  }

  /** Removes a destination. */
  leave(share: Share): void {
    share.destinations--;
    if (share.destinations === 0) this.end(share);
  }

  /** Releases what the share holds. */
  end(share: Share): void {
    if (!share.isOpen) return;
    share.isOpen = false;
    this.#open.delete(share.rule.name);
    this.#state.quotas.end(share);
    if (share.lease !== undefined) this.#state.limits.release(share.lease);
    this.#ended(share);
  }

  /** Ends shares that have reached their duration. */
  look(now: number): void {
    for (const share of this.#open.values()) {
      if (now < share.endsAt) continue;
      this.#over.add(share.rule.name);
      this.end(share);
    }
  }

  /** Destinations that are still being decided will get no share. */
  close(): void {
    this.#closed = true;
    for (const share of this.#open.values()) this.end(share);
  }

  #begin(rule: RuleOptions): Share {
    if (this.#closed) throw new Failure('none', 'relay');
    if (this.#over.has(rule.name)) throw Failure.limit('duration', 'relay');
    const { quotas, sessions } = this.#state;
    const share = new Share(rule, this.#session, this, this.#state);
    quotas.begin(share, rule);
    try {
      share.lease = claim(this.#session, rule, this.#state);
    } catch (error) {
      quotas.end(share);
      throw error;
    }
    this.#open.set(rule.name, share);
    if (!this.#used.has(rule.name)) {
      this.#used.set(rule.name, rule);
      sessions.recordGrant(this.#session, rule);
    }
    return share;
  }
}
