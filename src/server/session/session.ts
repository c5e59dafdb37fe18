import { formatEnd } from '../../audit/record.ts';
import type { ConnectionRecord, End, EndDetail, Phase } from '../../audit/record.ts';
import type { Identity } from '../../auth/identity.ts';
import type { Connection, Relay, RelayEnd, RelayOwner, Signal } from '../../net/engine.ts';
import type { Endpoint, HostPort } from '../../wire/address.ts';
import type { Member } from '../../net/roster.ts';
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
import type { Waiting } from '../limits/connections.ts';
import type { Holder } from '../limits/memory.ts';
import type { ListenerSettings } from '../settings.ts';
import { endOf, NOTHING } from './counters.ts';
import type { Counters } from './counters.ts';
import type { GrantedRequest } from './grant.ts';
import { StopSignal } from './stop-signal.ts';

/** Where something is, as it was found; written down in the record only, which most of a connection's life has no need of. */
type Place = HostPort | string;

/**
 * For what is allowed piece by piece, as the datagrams of an association: asks the rules again. Where the session may not go on
 * as a whole, for the reason that is given, whether something is left that `revoke: keep` protects.
 */
type Recheck = (revoked: EndDetail | undefined) => boolean;

/** Where it is written down how a session has ended. */
interface Recorder {
  close(session: Session, end: End): void;
}

const NO_GROUPS: readonly string[] = [];

/** One client connection from accept to end: what is known of it so far, and the one way to stop it. */
export class Session implements Member, RelayOwner, Holder, OutboundClient, Subject {
  /** Among the open ones. */
  index = -1;
  readonly #run: string;
  /** Grows from session to session. */
  readonly number: number;
  /** What goes through TLS, where the listener speaks it. */
  #client: Connection;
  readonly listener: ListenerSettings;
  /** Where it listens, as `formatPlace` writes it. */
  readonly place: string;
  /** The client, which is behind the balancer where there is one. */
  #remote: Endpoint;
  /** Until it is relayed: after that it is seldom asked for. */
  #ip: Ip | undefined;
  /** A whole number, which needs no object of its own. */
  readonly #startedAt = Math.floor(performance.now());

  #phase: Phase = 'accept';
  #protocol: Protocol = 'socks5';
  #method: Method | undefined;
  #identity: Identity | undefined;
  #command: string | undefined;
  #destination: Place | undefined;
  #address: Place | undefined;
  #route: string | undefined;
  #bound: Place | undefined;
  #rule: RuleOptions | undefined;
  #grant: GrantedRequest | undefined;
  #lease: Lease | undefined;
  #decisions = 0;
  #clientEnded = false;
  #counters: Counters = NOTHING;
  #credentials: Credentials | undefined;
  #releaseUpstreams: (() => void) | undefined;
  #recheck: Recheck | undefined;
  /** Where it counts among those that have made no request yet, and what it holds of the limits on connections: of ConnectionLimits. */
  waitsIn: Crowd<Waiting> | undefined;
  connectionLease: Lease | undefined;
  /** What is to be ended with the session; before there is something, its client's connection. */
  #relay: Relay | undefined;
  #book: Recorder | undefined;
  #signal: StopSignal | undefined;
  #failure: Failure | undefined;

  /** `run` and `number` make its id. */
  constructor(run: string, client: Connection, { settings, place }: OpenListener, number = 0) {
    this.#run = run;
    this.number = number;
    this.#client = client;
    this.listener = settings;
    this.place = place;
    this.#remote = client.remote;
    this.#ip = ipOf(client.remote.host);
  }

  get id(): string {
    return `${this.#run}-${this.number}`;
  }

  get ip(): Ip {
    return this.#ip ?? ipOf(this.#remote.host)!;
  }

  get client(): Connection {
    return this.#client;
  }

  get remote(): Endpoint {
    return this.#remote;
  }

  /** What is being done: errors belong to it. */
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

  /** The request as the rules have allowed it, to be asked again after a reload. */
  get grant(): GrantedRequest | undefined {
    return this.#grant;
  }

  /** What it holds of the limits of its rule. */
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

  /** The client has ended its direction. */
  get clientEnded(): boolean {
    return this.#clientEnded;
  }

  get counters(): Counters {
    return this.#counters;
  }

  /** What the client has shown, until it is known whether its upstreams want that. */
  get credentials(): Credentials | undefined {
    return this.#credentials;
  }

  /** Asks again about the pieces of a session; `undefined` for one that is allowed as a whole. */
  get recheck(): Recheck | undefined {
    return this.#recheck;
  }

  /** Who takes turns with others. */
  get asker(): Asker {
    return () => groupsOf(this.ip, this.#identity?.user);
  }

  /** Where the client has connected to. */
  get local(): Endpoint {
    return this.#client.local;
  }

  enters(phase: Phase): void {
    this.#phase = phase;
  }

  /** Whom the balancer speaks for. */
  applyProxyHeader({ host, port }: Endpoint): void {
    const ip = unmapped(parseIp(host)!);
    this.#remote = { host: formatIp(ip), port };
    this.#ip = ip;
  }

  /** From now on its bytes go through TLS. */
  secured(tls: Connection): void {
    this.#client = tls;
  }

  /** How the client says who it is; by a certificate it has done so. */
  usesMethod(method: Method, certified: Identity | undefined): void {
    this.#method = method;
    if (method === 'certificate') this.#identity = certified;
    this.#phase = method === 'password' ? 'auth' : 'request';
  }

  /** Who the client is. `credentials`: what upstreams may want to see. */
  identifiedAs(identity: Identity, credentials?: Credentials): void {
    this.#identity = identity;
    if (credentials !== undefined) this.#credentials = credentials;
  }

  requestReceived(protocol: Protocol, command: string, destination: HostPort): void {
    this.#protocol = protocol;
    this.#command = command;
    this.#destination = destination;
  }

  /** The rules and routes were asked when the server's decisions had this number. */
  decidedAt(decisions: number): void {
    this.#decisions = decisions;
  }

  /** For the record. An association's names the rule that has granted it, not one that later refused a datagram. */
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

  /** Holds a place in the limits of its rule until its end. */
  holds(lease: Lease): void {
    this.#lease = lease;
  }

  /** Notes its route and, once it is known by which servers it goes, keeps these until its end. */
  goesBy(route: string, release?: () => void): void {
    this.#route = route;
    if (release === undefined) return;
    this.#releaseUpstreams = release;
    this.#credentials = undefined;
  }

  /** The target is reached. The grant is about its address from now on. */
  dialled(bound: HostPort, address: HostPort | undefined, grant: GrantedRequest): void {
    this.#bound = bound;
    this.#address = address;
    this.#grant = grant;
  }

  /** A port is open for the client's peers. */
  bindsAt(bound: HostPort): void {
    this.#bound = bound;
  }

  /** What a name has been resolved to, or who has come to a BIND. */
  reaches(address: Place): void {
    this.#address = address;
  }

  /** An association counts for it, and is asked about again by `recheck`. */
  associates(association: Counters, recheck: Recheck): void {
    this.#counters = association;
    this.#recheck = recheck;
  }

  /** Its upstreams' groups count it no more. */
  releaseUpstreams(): void {
    this.#releaseUpstreams?.();
  }

  /** Aborted when the connection is to stop, whatever it waits for. */
  get signal(): Signal {
    this.#signal ??= new StopSignal(this.#failure);
    return this.#signal;
  }

  /** Why the session was stopped from outside, if it was. */
  get failure(): Failure | undefined {
    return this.#failure;
  }

  /** Ends whatever the session is doing; the first failure stands. */
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

  /** From now on its bytes are the relay's business, and it ends when the relay does. */
  relays(relay: Relay, book: Recorder): void {
    this.#phase = 'relay';
    this.#counters = relay;
    this.#relay = relay;
    this.#book = book;
    this.#signal = undefined;
    this.#ip = undefined;
  }

  relayEnded(end: RelayEnd): void {
    this.#book?.close(this, this.#failure ?? endOf(end));
  }

  /**
   * The client has ended its direction. It may still wait for an answer; but one that waits for a BIND, or is going to, has
   * gone.
   */
  clientEnds(): void {
    this.#clientEnded = true;
    if (this.#phase === 'bind') this.stop(new Failure('client', 'bind'));
  }

  /** Waits for work that knows no signal, but not beyond the end of the session. Rejects with the failure that stopped it. */
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

  /** What the rules are told, at this moment. */
  facts(command: Command): Facts {
    return {
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

  /** Those that have allowed or refused what was asked for; of an association the ones in use, if any is. */
  get rules(): readonly RuleOptions[] {
    const { used = [] } = this.#counters;
    if (used.length > 0) return used;
    return this.#rule === undefined ? [] : [this.#rule];
  }

  /** The record as it stands; without `end` while the session is open. */
  record(end?: End): ConnectionRecord {
    return {
      id: this.id,
      client: isUnix(this.place) ? 'unix' : formatAddress(this.#remote),
      listener: isUnix(this.place) ? this.place : formatAddress(this.#client.local),
      user: this.#identity?.user,
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
      duration: Math.round(performance.now() - this.#startedAt),
      end: end && formatEnd(end),
    };
  }
}

function format(place: Place | undefined): string | undefined {
  return typeof place === 'object' ? formatAddress(place) : place;
}

function isUnix(place: string): boolean {
  return place.startsWith('unix:');
}
