import { endedWell, formatEnd } from '../audit/record.ts';
import type { End, Record } from '../audit/record.ts';
import type { Log } from '../audit/log.ts';
import type { Connection } from '../net/engine.ts';
import { Roster } from '../net/roster.ts';
import type { Limits } from '../policy/limits.ts';
import type { LogKind, RuleOptions } from '../policy/policy.ts';
import { Failure } from './failure.ts';
import type { OpenListener } from './listeners.ts';
import type { Quotas } from './quotas.ts';
import { Session } from './session.ts';

/** Every open session, and the place where each is recorded when it ends. */
export class Sessions {
  readonly #open = new Roster<Session>();
  /** Connections whose session has ended, and which still wait for their client to read the farewell. */
  readonly #lingering = new Roster<Session>();
  readonly #log: Log;
  readonly #limits: Limits;
  readonly #quotas: Quotas;
  readonly #run: string;
  #last = 0;
  #whenEmpty: (() => void)[] = [];

  /** `thread`: which of several it is. */
  constructor(log: Log, limits: Limits, quotas: Quotas, thread?: number) {
    const start = Math.floor(Date.now() / 1000).toString(16);
    this.#run = thread === undefined ? start : `${start}-${thread}`;
    this.#log = log;
    this.#limits = limits;
    this.#quotas = quotas;
  }

  /** Connections, those that say farewell too. */
  get size(): number {
    return this.#open.size + this.#lingering.size;
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#open[Symbol.iterator]();
  }

  open(client: Connection, listener: OpenListener): Session {
    const session = new Session(this.#run, client, listener, ++this.#last);
    this.#open.add(session);
    return session;
  }

  /** Logs the grant, for rules that want it. */
  logGrant(session: Session, rule: RuleOptions | undefined = session.rule): void {
    if (rule?.log.includes('connect')) this.#write('connect', session.record());
  }

  /** Writes the record of a session and gives back what it held; its place among the connections is free when that is `gone`. */
  async closeWhen(gone: Promise<void>, session: Session, end: End): Promise<void> {
    this.#end(session, end);
    this.#lingering.add(session);
    await gone;
    this.#lingering.delete(session);
    this.#forget(session);
  }

  /** The same for one whose connection is gone. */
  close(session: Session, end: End): void {
    this.#end(session, end);
    this.#forget(session);
  }

  /** For a thread that dies: records them all, and gives back what they hold. */
  abandon(detail: string): void {
    for (const session of this.#open) this.close(session, new Failure('internal', session.phase, detail));
    for (const session of this.#lingering) this.#forget(session);
  }

  #end(session: Session, end: End): void {
    this.#open.delete(session);
    this.#quotas.end(session);
    session.counters.release?.();
    if (session.lease !== undefined) this.#limits.release(session.lease);
    session.releaseUpstreams?.();
    const kind: LogKind = endedWell(end) ? 'disconnect' : 'error';
    const { rules } = session;
    if (rules.length === 0 || rules.some(({ log }) => log.includes(kind)))
      this.#write(kind, session.record(end));
    else if (end.by === 'upstream') this.#warnOf(session, end);
  }

  /** Where no record tells of it: whoever runs an agent has to know. */
  #warnOf({ route }: Session, end: End): void {
    const error = end instanceof Failure && end.cause instanceof Error ? end.cause.message : formatEnd(end);
    this.#log.warnSeldom('the upstream failed', { route, error });
  }

  #forget(session: Session): void {
    if (session.connectionLease !== undefined) this.#limits.release(session.connectionLease);
    if (this.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  /** Resolves when no connection is left. */
  empty(): Promise<void> {
    if (this.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.push(resolve));
  }

  #write(kind: LogKind, record: Record): void {
    this.#log.info(kind, record);
  }
}
