import type { Journal } from '../../audit/journal.ts';
import { endedWell, formatEnd } from '../../audit/record.ts';
import type { End, EndDetail, RecordEvent } from '../../audit/record.ts';
import type { Log } from '../../audit/log.ts';
import type { Connection } from '../../net/engine.ts';
import { Roster } from '../../net/roster.ts';
import type { Limits } from '../../limits/limits.ts';
import type { RuleOptions } from '../../policy/policy.ts';
import { Failure } from '../failure.ts';
import type { OpenListener } from '../listen/listeners.ts';
import type { Quotas } from '../limits/quotas.ts';
import { Session } from './session.ts';

/** Sessions in one page of a list. */
const PAGE = 1000;

/** The oldest sessions that are open, but for those on earlier pages. */
interface Page {
  readonly sessions: readonly Session[];
  /** Where the next page begins; absent on the last one. */
  readonly next?: number;
}

/** Every open session, and the place where each is recorded when it ends. */
export class Sessions {
  readonly #open = new Roster<Session>();
  /** Ended sessions whose client has its answer still to read. Each takes the next seat, and the one that sits there is closed. */
  readonly #lingering: (Session | undefined)[];
  #nextSeat = 0;
  #lingerers = 0;
  readonly #journal: Journal;
  readonly #log: Log;
  readonly #limits: Limits;
  readonly #quotas: Quotas;
  readonly #run: string;
  #last = 0;
  #whenEmpty: (() => void)[] = [];

  /** `lingering`: how many at most may have their answer still to read. `thread`: which of several it is. */
  constructor(
    { journal, log }: { readonly journal: Journal; readonly log: Log },
    limits: Limits,
    quotas: Quotas,
    lingering: number,
    thread?: number,
  ) {
    const start = Math.floor(Date.now() / 1000).toString(16);
    this.#run = thread === undefined ? start : `${start}-${thread}`;
    this.#journal = journal;
    this.#log = log;
    this.#limits = limits;
    this.#quotas = quotas;
    this.#lingering = Array.from({ length: lingering });
  }

  /** Those that have not ended. */
  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#open[Symbol.iterator]();
  }

  /**
   * The open sessions a page at a time, the oldest first. Whoever comes or goes meanwhile, those that stay are on one page, each once.
   * `after`: the `next` of the page before.
   */
  page(after = 0, size: number = PAGE): Page {
    const left = [...this.#open].filter(({ number }) => number > after);
    if (left.length <= size) return { sessions: left.toSorted(byAge) };
    // Numbers are quickly sorted, however many are open.
    const next = Float64Array.from(left, ({ number }) => number).toSorted()[size - 1]!;
    return { sessions: left.filter(({ number }) => number <= next).toSorted(byAge), next };
  }

  /** Ends those for which there is a reason; how many. */
  stop(reason: (session: Session) => Failure | undefined): number {
    let stopped = 0;
    for (const session of this.#open) {
      const failure = reason(session);
      if (failure === undefined) continue;
      session.stop(failure);
      stopped++;
    }
    return stopped;
  }

  open(client: Connection, listener: OpenListener): Session {
    const session = new Session(this.#run, client, listener, ++this.#last);
    this.#open.add(session);
    return session;
  }

  /** Records the grant; few rules want a line of it. */
  recordGrant(session: Session, rule: RuleOptions | undefined = session.rule): void {
    this.#journal.write(session, 'connect', rule?.log.includes('connect') !== true);
  }

  /**
   * Writes the record of a session and gives back what it held, its place among the connections too: a client that does not read its
   * answer keeps nobody out. Its connection is closed when that is `gone`, or when too many have come after it.
   */
  async closeWhen(gone: Promise<void>, session: Session, end: End): Promise<void> {
    this.#end(session, end);
    const seat = this.#nextSeat;
    this.#nextSeat = (seat + 1) % this.#lingering.length;
    this.#lingering[seat]?.client.destroy();
    this.#lingering[seat] = session;
    this.#lingerers++;
    await gone;
    if (this.#lingering[seat] === session) this.#lingering[seat] = undefined;
    this.#lingerers--;
    this.#tellIfEmpty();
  }

  /** The same for one whose connection is gone. */
  close(session: Session, end: End): void {
    this.#end(session, end);
    this.#tellIfEmpty();
  }

  /** For a thread that dies: records them all, and gives back what they hold. */
  abandon(detail: EndDetail): void {
    for (const session of this.#open) this.close(session, new Failure('internal', session.phase, detail));
  }

  #end(session: Session, end: End): void {
    this.#open.delete(session);
    this.#quotas.end(session);
    session.counters.release?.();
    if (session.lease !== undefined) this.#limits.release(session.lease);
    if (session.connectionLease !== undefined) this.#limits.release(session.connectionLease);
    session.releaseUpstreams();
    const event: RecordEvent = endedWell(end) ? 'disconnect' : 'error';
    const { rules } = session;
    const silenced = rules.length > 0 && !rules.some(({ log }) => log.includes(event));
    this.#journal.write(session, event, silenced, end);
    if (silenced && end.by === 'upstream') this.#warnOf(session, end);
  }

  /** Where no line tells of it: whoever runs an agent has to know. */
  #warnOf({ route }: Session, end: End): void {
    const error = end instanceof Failure && end.cause instanceof Error ? end.cause.message : formatEnd(end);
    this.#log.warnSeldom('the upstream failed', { route, error });
  }

  #tellIfEmpty(): void {
    if (this.#isEmpty) for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  get #isEmpty(): boolean {
    return this.#open.size === 0 && this.#lingerers === 0;
  }

  /** Resolves when no connection is left. */
  empty(): Promise<void> {
    if (this.#isEmpty) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.push(resolve));
  }
}

function byAge(one: Session, other: Session): number {
  return one.number - other.number;
}
