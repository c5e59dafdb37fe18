import { formatEnd } from '../../audit/record.ts';
import type { ConnectionRecord, End, Phase } from '../../audit/record.ts';
import type { Identity } from '../../auth/identity.ts';
import type { Connection, Relay, RelayEnd, RelayOwner, Signal } from '../../net/engine.ts';
import type { Endpoint, HostPort } from '../../wire/address.ts';
import type { RosterMember } from '../../net/roster.ts';
import { groupsOf } from '../../limits/claims.ts';
import type { Crowd } from '../../limits/crowd.ts';
import type { Lease } from '../../limits/limits.ts';
import type { Command, Facts, Method, Protocol, RuleOptions } from '../../policy/policy.ts';
import type { Asker } from '../../limits/fair-queue.ts';
import type { Refused, Subject } from '../../route/judge.ts';
import type { OutboundClient } from '../../route/outbound.ts';
import { formatIp, ipOf, parseIp, unmapped } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import type { Credentials } from '../../wire/password.ts';
import { formatAddress } from '../../wire/address.ts';
import { Failure } from '../failure.ts';
import type { OpenListener } from '../listen/listeners.ts';
import type { WaitingConnection } from '../limits/connections.ts';
import type { Holder } from '../limits/memory.ts';
import type { ListenerSettings } from '../settings.ts';
import { endOf, NOTHING } from './counters.ts';
import type { Counters, Recheck } from './counters.ts';
import type { GrantedRequest } from './grant.ts';
import { StopSignal } from './stop-signal.ts';

/**
 * An address as it was found; it is formatted only for the record, because most sessions never need the text.
 */
type RecordedAddress = HostPort | string;

/** Receives the end of a session, and records it. */
interface Recorder {
  close(session: Session, end: End): void;
}

/** Characters of a claimed name that are recorded. */
const CLAIM = 64;
const NO_GROUPS: readonly string[] = [];

/** One client connection from accept to end: its state so far, and the only way to stop it. */
export class Session implements RosterMember, RelayOwner, Holder, OutboundClient, Subject {
  /** Its position among the open sessions. */
  index = -1;
  readonly #run: string;
  /** Increases from session to session. */
  readonly number: number;
  /** The plain side of TLS, where the listener uses it. */
  #client: Connection;
  readonly listener: ListenerSettings;
  readonly #openListener: OpenListener;
  /** The client; the one behind the balancer, if there is one. */
  #remote: Endpoint;
  /** Kept until the relay begins; after that it is seldom required. */
  #ip: Ip | undefined;
  /** By `performance.now()`; an integer, which does not need a heap object of its own. */
  readonly startedAt: number = Math.floor(performance.now());

  #phase: Phase = 'accept';
  #protocol: Protocol = 'socks5';
  #method: Method | undefined;
  #identity: Identity | undefined;
  #command: string | undefined;
  #destination: RecordedAddress | undefined;
  #address: RecordedAddress | undefined;
  #route: string | undefined;
  #bound: RecordedAddress | undefined;
  #rule: RuleOptions | undefined;
  #grant: GrantedRequest | undefined;
  #lease: Lease | undefined;
  #decisions = 0;
  #clientEnded = false;
  #counters: Counters = NOTHING;
  #credentials: Credentials | undefined;
  #claimed: string | undefined;
  #releaseUpstreams: (() => void) | undefined;
  #recheck: Recheck | undefined;
  /**
   * Owned by ConnectionLimits: its crowd among connections without a request, and its lease on the limits on
   * connections.
   */
  waitsIn: Crowd<WaitingConnection> | undefined;
  connectionLease: Lease | undefined;
  /** Ended with the session; until there is a relay, the client's connection is. */
  #relay: Relay | undefined;
  #recorder: Recorder | undefined;
  #signal: StopSignal | undefined;
  #failure: Failure | undefined;

  /** `run` and `number` form the id. */
  constructor(run: string, client: Connection, listener: OpenListener, number = 0) {
    this.#run = run;
    this.number = number;
    this.#client = client;
    this.listener = listener.settings;
    this.#openListener = listener;
    this.#remote = client.remote;
    this.#ip = ipOf(client.remote.host);
  }

  get id(): string {
    return `${this.#run}-${this.number}`;
  }

  get ip(): Ip {
    return this.#ip ?? ipOf(this.#remote.host)!;
  }

  /** The listener's address, in the format of `formatListenAddress`. */
  get place(): string {
    return this.#openListener.place;
  }

  /** The current facts for accept rules: a reload may have renamed the listener. */
  get origin(): Pick<Facts, 'client' | 'listener'> {
    return { client: this.ip, listener: this.#openListener.name };
  }

  get client(): Connection {
    return this.#client;
  }

  get remote(): Endpoint {
    return this.#remote;
  }

  /** The client in records and log lines. */
  get clientPlace(): string {
    return isUnix(this.place) ? 'unix' : formatAddress(this.#remote);
  }

  /** The current phase, to which errors are attributed. */
  get phase(): Phase {
    return this.#phase;
  }

  get method(): Method | undefined {
    return this.#method;
  }

  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** The rule that has allowed or refused the request. */
  get rule(): RuleOptions | undefined {
    return this.#rule;
  }

  /** The request as the rules have allowed it, kept for rechecks. */
  get grant(): GrantedRequest | undefined {
    return this.#grant;
  }

  /** Its lease on the limits of its rule. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** The server's `decisions` when the rules last allowed its request. */
  get decisions(): number {
    return this.#decisions;
  }

  get route(): string | undefined {
    return this.#route;
  }

  /** As requested. */
  get destination(): string | undefined {
    return format(this.#destination);
  }

  /** The address that was reached. */
  get address(): string | undefined {
    return format(this.#address);
  }

  /** The client has ended its direction. */
  get clientEnded(): boolean {
    return this.#clientEnded;
  }

  get counters(): Counters {
    return this.#counters;
  }

  /** The client's credentials, until it is known whether its upstreams require them. */
  get credentials(): Credentials | undefined {
    return this.#credentials;
  }

  /** Rechecks the parts of a session; `undefined` for one that is allowed as a whole. */
  get recheck(): Recheck | undefined {
    return this.#recheck;
  }

  /** Identifies it in fair queues. */
  get asker(): Asker {
    return () => groupsOf(this.ip, this.#identity?.user);
  }

  /** The local address of the client's connection. */
  get local(): Endpoint {
    return this.#client.local;
  }

  enters(phase: Phase): void {
    this.#phase = phase;
  }

  /** Replaces the balancer's address by that of its client. */
  applyProxyHeader({ host, port }: Endpoint): void {
    const ip = unmapped(parseIp(host)!);
    this.#remote = { host: formatIp(ip), port };
    this.#ip = ip;
  }

  /** From now on its bytes go through TLS. */
  secured(tls: Connection): void {
    this.#client = tls;
  }

  /** Sets the method of identification; a certificate has identified the client already, or does not count. */
  usesMethod(method: Method): void {
    this.#method = method;
    if (method !== 'certificate') this.#identity = undefined;
    this.#phase = method === 'password' ? 'auth' : 'request';
  }

  /** Identifies the client. `credentials`: those that upstreams may require. */
  identifiedAs(identity: Identity, credentials?: Credentials): void {
    this.#identity = identity;
    if (credentials !== undefined) this.#credentials = credentials;
  }

  /** `claimed`: a user name that nothing confirms. */
  requestReceived(protocol: Protocol, command: string, destination: HostPort, claimed = ''): void {
    this.#protocol = protocol;
    this.#command = command;
    this.#destination = destination;
    this.#claimed = claimed.slice(0, CLAIM) || undefined;
  }

  /** The rules and routes decided when the server's `decisions` had this value. */
  decidedAt(decisions: number): void {
    this.#decisions = decisions;
  }

  /**
   * For the record. An association keeps the rule that granted it, rather than one that later refused a
   * datagram.
   */
  refusedBy({ rule, address, route }: Refused): void {
    if (this.#rule !== undefined) return;
    this.#rule = rule;
    this.#address = address && formatIp(address);
    this.#route = route?.label;
  }

  granted(rule: RuleOptions, request: GrantedRequest): void {
    this.#rule = rule;
    this.#grant = request;
  }

  /** Holds a lease on the limits of its rule until the session ends. */
  holds(lease: Lease): void {
    this.#lease = lease;
  }

  /** Records its route and, once its servers are known, counts as one of their sessions until it ends. */
  goesBy(route: string, release?: () => void): void {
    this.#route = route;
    if (release === undefined) return;
    this.#releaseUpstreams = release;
    this.#credentials = undefined;
  }

  /** The target has been reached. From now on the grant is for its address. */
  dialled(bound: HostPort, address: HostPort | undefined, grant: GrantedRequest): void {
    this.#bound = bound;
    this.#address = address;
    this.#grant = grant;
  }

  /** A port for the client's peers is open. */
  bindsAt(bound: HostPort): void {
    this.#bound = bound;
  }

  /** The address to which a name resolved, or the peer of a BIND. */
  reaches(address: RecordedAddress): void {
    this.#address = address;
  }

  /** An association provides its counters and rechecks. */
  associates(association: Counters, recheck: Recheck): void {
    this.#counters = association;
    this.#recheck = recheck;
  }

  /** Removes it from the session counts of its upstreams. */
  releaseUpstreams(): void {
    this.#releaseUpstreams?.();
  }

  /** Aborted when the session must stop, whatever it is waiting for. */
  get signal(): Signal {
    this.#signal ??= new StopSignal(this.#failure);
    return this.#signal;
  }

  /** Why the session was stopped from outside, if it was. */
  get failure(): Failure | undefined {
    return this.#failure;
  }

  /** Ends whatever the session is doing; only the first failure counts. */
  stop(failure: Failure): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#signal?.abort(failure);
    if (this.#relay === undefined) this.#client.destroy(failure);
    else this.#relay.abort();
  }

  get held(): number {
    return this.#counters.held ?? this.#client.held;
  }

  shed(): void {
    this.stop(Failure.limit('memory', this.#phase));
  }

  /** From now on the relay carries its bytes, and the session ends with it. */
  relays(relay: Relay, recorder: Recorder): void {
    this.#phase = 'relay';
    this.#counters = relay;
    this.#relay = relay;
    this.#recorder = recorder;
    this.#signal = undefined;
    this.#credentials = undefined;
    this.#ip = undefined;
  }

  relayEnded(end: RelayEnd): void {
    this.#recorder?.close(this, this.#failure ?? endOf(end));
  }

  /**
   * The client has ended its direction. It may still wait for an answer, unless the answer is a BIND's peer:
   * then it has gone.
   */
  clientEnds(): void {
    this.#clientEnded = true;
    if (this.#phase === 'bind') this.stop(new Failure('client', 'bind'));
  }

  /**
   * Waits for work that cannot be aborted, but no longer than the session is open. Rejects with the failure
   * that stopped it.
   */
  whileOpen<T>(work: T | Promise<T>): Promise<T> {
    const { signal } = this;
    return new Promise((resolve, reject) => {
      const stopped = (): void => reject(signal.reason);
      if (signal.aborted) stopped();
      signal.addEventListener('abort', stopped, { once: true });
      void Promise.resolve(work)
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', stopped));
    });
  }

  /** The current facts for the rules. */
  facts(command: Command): Facts {
    return {
      listener: this.#openListener.name,
      client: this.ip,
      sourcePort: this.#remote.port,
      protocol: this.#protocol,
      method: this.#method ?? 'none',
      user: this.#identity?.user,
      groups: this.#identity?.groups ?? NO_GROUPS,
      command,
      time: Date.now(),
    };
  }

  /** The rules that have allowed or refused the request; for an association, those in use, if any. */
  get rules(): readonly RuleOptions[] {
    const { used = [] } = this.#counters;
    if (used.length > 0) return used;
    return this.#rule === undefined ? [] : [this.#rule];
  }

  /** The current record; without `end` while the session is open. */
  record(end?: End): ConnectionRecord {
    return {
      id: this.id,
      client: this.clientPlace,
      listener: isUnix(this.place) ? this.place : formatAddress(this.#client.local),
      user: this.#method && this.#identity?.user,
      claimed: this.#claimed,
      method: this.#method,
      command: this.#command,
      destination: format(this.#destination),
      address: format(this.#address),
      rule: this.rules.map(({ name }) => name).join(',') || undefined,
      route: this.#route,
      bound: format(this.#bound),
      sent: this.#counters.sent,
      received: this.#counters.received,
      dropped: this.#counters.dropped,
      duration: Math.round(performance.now() - this.startedAt),
      at: end instanceof Failure ? end.at : undefined,
      end: end && formatEnd(end),
    };
  }
}

function format(place: RecordedAddress | undefined): string | undefined {
  return typeof place === 'object' ? formatAddress(place) : place;
}

function isUnix(place: string): boolean {
  return place.startsWith('unix:');
}
