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

/** The oldest open sessions that were not on earlier pages. */
interface Page {
  readonly sessions: readonly Session[];
  /** The start of the next page; absent on the last one. */
  readonly next?: number;
}

/** Every open session, and the recording of each one's end. */
export class Sessions {
  readonly #open = new Roster<Session>();
  /**
   * Ended sessions whose client has yet to read its answer. Each takes the next seat, and the previous
   * occupant is closed.
   */
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

  /**
   * `lingering`: the largest number of sessions with an unread answer. `thread`: the index among several
   * threads.
   */
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

  /** The open ones. */
  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#open[Symbol.iterator]();
  }

  /**
   * The open sessions that are `wanted`, one page at a time, the oldest first. Sessions that stay open appear exactly once,
   * even if others start or end meanwhile. `after`: the `next` of the previous page.
   */
  page(after = 0, size: number = PAGE, wanted: (session: Session) => boolean = () => true): Page {
    const left = [...this.#open].filter((session) => session.number > after && wanted(session));
    if (left.length <= size) return { sessions: left.toSorted(byAge) };
    // Numbers sort quickly, however many are open.
    const next = Float64Array.from(left, ({ number }) => number).toSorted()[size - 1]!;
    return { sessions: left.filter(({ number }) => number <= next).toSorted(byAge), next };
  }

  /** Ends the sessions for which there is a reason; returns their number. */
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

  /** Records the grant; few rules log it. */
  recordGrant(session: Session, rule: RuleOptions | undefined = session.rule): void {
    this.#journal.write(session, 'connect', rule?.log.includes('connect') !== true);
  }

  /** Records a session that continues, if its end would be logged too. */
  recordInterim(session: Session): void {
    const { rules } = session;
    this.#journal.write(session, 'interim', !rules.some(({ log }) => log.includes('disconnect')));
  }

  /**
   * Writes the record of a session and releases everything it held, including its slot among the connections:
   * a client that does not read its answer keeps no one else out. Its connection is closed when `gone`
   * resolves, or when too many have come after it.
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

  /** The same for a session whose connection is already closed. */
  close(session: Session, end: End): void {
    this.#end(session, end);
    this.#tellIfEmpty();
  }

  /** For a thread that dies: records all sessions, and releases what they hold. */
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

  /** For rules that do not log it: an agent's user must still learn of it. */
  #warnOf({ route }: Session, end: End): void {
    const error = end instanceof Failure && end.cause instanceof Error ? end.cause.message : formatEnd(end);
    this.#log.warnSeldom('upstream-failed', { route, error });
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
