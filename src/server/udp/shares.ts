import type { Lease } from '../../limits/limits.ts';
import type { RuleOptions } from '../../policy/policy.ts';
import type { Flows } from '../limits/bandwidths.ts';
import { Failure } from '../failure.ts';
import { claim } from '../session/authorize.ts';
import type { Metered } from '../limits/quotas.ts';
import type { Counters } from '../session/counters.ts';
import type { Session } from '../session/session.ts';
import type { Counting, ServerState } from '../session/state.ts';

/** What shares are of. */
type Sharing = Counting & Pick<ServerState, 'bandwidths' | 'sessions' | 'timeouts'>;

/** What one association uses of one rule, where it counts as one session. */
export class Share implements Metered, Counters {
  sent = 0;
  received = 0;
  readonly rule: RuleOptions;
  readonly flows: Flows;
  /** Milliseconds that a destination may be silent. */
  readonly idle: number;
  /** By `performance.now`. */
  readonly endsAt: number;
  /** How many lead by this rule; the share ends with the last of them. */
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

  /** Its quota is used up; the association goes on by other rules. */
  stop(): void {
    this.#shares.end(this);
  }
}

/** The shares of one association, by the names of their rules, so that they outlive a reload. */
export class Shares {
  readonly #session: Session;
  readonly #state: Sharing;
  readonly #ended: (share: Share) => void;
  readonly #open = new Map<string, Share>();
  /** Rules whose `duration` has ended a share: a new one would undo that. */
  readonly #over = new Set<string>();
  readonly #used = new Map<string, RuleOptions>();
  #closed = false;

  /** `ended` is to forget the destinations of a share. */
  constructor(session: Session, state: Sharing, ended: (share: Share) => void) {
    this.#session = session;
    this.#state = state;
    this.#ended = ended;
  }

  /** Every rule that was used, in the order of first use. */
  get used(): readonly RuleOptions[] {
    return [...this.#used.values()];
  }

  /** How long the most patient rule allows silence, and the least patient one; `undefined` where none is used. */
  get idle(): { readonly most: number; readonly least: number } | undefined {
    if (this.#open.size === 0) return undefined;
    const idle = [...this.#open.values()].map((share) => share.idle);
    return { most: Math.max(...idle), least: Math.min(...idle) };
  }

  /** Whether any rule is in use. */
  get isAny(): boolean {
    return this.#open.size > 0;
  }

  /** For datagrams whose rule cannot be told: the bandwidths of all rules in use. */
  get receive(): readonly Flows['receive'][] {
    return [...this.#open.values()].map(({ flows }) => flows.receive);
  }

  /** They count by each rule. */
  received(bytes: number): void {
    for (const share of this.#open.values()) share.received += bytes;
  }

  /** For one more destination; throws the Failure of a limit of the rule. */
  claim(rule: RuleOptions): Share {
    const share = this.#open.get(rule.name) ?? this.#begin(rule);
    share.destinations++;
    return share;
  }

  /** For one destination less. */
  leave(share: Share): void {
    share.destinations--;
    if (share.destinations === 0) this.end(share);
  }

  /** Gives back what it holds. */
  end(share: Share): void {
    if (!share.isOpen) return;
    share.isOpen = false;
    this.#open.delete(share.rule.name);
    this.#state.quotas.end(share);
    if (share.lease !== undefined) this.#state.limits.release(share.lease);
    this.#ended(share);
  }

  /** Ends what has lasted long enough. */
  look(now: number): void {
    for (const share of this.#open.values()) {
      if (now < share.endsAt) continue;
      this.#over.add(share.rule.name);
      this.end(share);
    }
  }

  /** What is still being decided gets no share. */
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
