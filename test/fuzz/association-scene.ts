import type { Connection } from '../../src/net/engine.ts';
import type { Endpoint } from '../../src/wire/address.ts';
import { compile } from '../../src/policy/compile.ts';
import { createLimitMemory, Limits } from '../../src/limits/limits.ts';
import type { RuleOptions } from '../../src/policy/policy.ts';
import { ResolveError } from '../../src/resolve/error.ts';
import { Routes } from '../../src/route/routes.ts';
import { Association } from '../../src/server/udp/association.ts';
import { Associations } from '../../src/server/limits/associations.ts';
import { Bandwidths } from '../../src/server/limits/bandwidths.ts';
import { ClientPort } from '../../src/server/udp/client-port.ts';
import type { OpenListener } from '../../src/server/listen/listeners.ts';
import type { OwnPorts } from '../../src/server/listen/own-ports.ts';
import { Quotas } from '../../src/server/limits/quotas.ts';
import { Session } from '../../src/server/session/session.ts';
import { RelayPorts } from '../../src/server/listen/relay-ports.ts';
import { SharedPorts } from '../../src/server/listen/shared-ports.ts';
import type { ServerState } from '../../src/server/session/state.ts';
import { addressOf } from '../../src/wire/address.ts';
import type { Decoded } from '../../src/wire/decoded.ts';
import { WireError } from '../../src/wire/error.ts';
import { parseIp } from '../../src/wire/ip.ts';
import type { Ip } from '../../src/wire/ip.ts';
import { decodeUdpHeader } from '../../src/wire/udp.ts';
import type { UdpHeader } from '../../src/wire/udp.ts';
import { MemoryEngine } from '../support/memory-engine.ts';
import type { MemorySocket, SentDatagram } from '../support/memory-engine.ts';
import { keeps, same } from './target.ts';

/** The addresses of the client and the relay. */
export const CLIENT = '198.51.100.7';
export const RELAY = '192.0.2.9';

export const HOSTS: Readonly<Record<string, string>> = {
  'a.test': '203.0.113.1',
  'b.test': '2001:db8::1',
  'denied.test': '203.0.113.13',
  'secret.internal': '203.0.113.1',
  'loopback.test': '127.0.0.1',
};

const ALLOW: Pick<RuleOptions, 'action' | 'log' | 'revoke'> = { action: 'allow', log: [], revoke: 'close' };
const NETWORKS = ['203.0.113.0/24', '2001:db8::/32'];
/** `isAllowed` implements the same rules. */
const SOME = compile({
  rules: [
    { ...ALLOW, name: 'no', action: 'deny', to: ['203.0.113.13', '.internal'] },
    { ...ALLOW, name: 'some', to: NETWORKS, port: [{ first: 1000, last: 65_535 }] },
  ],
});
const NOTHING = compile({ rules: [] });

function isAllowed({ host, port }: Endpoint): boolean {
  const isInNetwork = host.startsWith('203.0.113.') || host.startsWith('2001:db8:');
  return isInNetwork && host !== '203.0.113.13' && port >= 1000;
}

/** An association over sockets in memory, the events so far, and the expected result. */
export class Scene {
  readonly engine: MemoryEngine = new MemoryEngine();
  readonly associations: Associations;
  readonly #ports: OwnPorts;
  readonly session: Session;
  readonly #state: ServerState;
  readonly #replies: 'peers' | 'any';
  /** The client's port; 0 = not known yet. */
  #clientPort: number;
  /** Datagrams received on the client's side, fragments among them, and datagrams sent on. */
  #heard = 0;
  #fragments = 0;
  #passed = 0;
  #isDeclared = false;
  /** Another port at the client's address has sent what could have come from the client. */
  #isContested = false;
  /** The number of times that the client sent data not yet sent on, keyed by its hexadecimal digits. */
  readonly #data = new Map<string, number>();
  /** Peers that datagrams were sent to. */
  readonly #peers = new Set<string>();

  constructor(
    replies: 'peers' | 'any',
    clientPort: number,
    ports: OwnPorts,
    associations: Associations = new Associations(() => 100_000),
  ) {
    this.associations = associations;
    this.#replies = replies;
    this.#clientPort = clientPort;
    this.#ports = ports;
    const limits = new Limits(createLimitMemory([1, 2], 32));
    // Only the parts of the state and the connection that an association uses.
    this.#state = {
      engine: this.engine,
      ports,
      limits,
      bandwidths: new Bandwidths(limits),
      relayPorts: new RelayPorts(this.engine),
      sharedPorts: new SharedPorts(this.engine, ports),
      quotas: new Quotas({ used: () => 0, add: () => undefined }),
      sessions: { recordGrant: () => undefined },
      associations: this.associations,
      timeouts: { udpIdle: 180_000 },
      log: { debug: () => undefined },
      policy: SOME,
      decisions: 0,
      outbound: { lookUp: resolve, routes: new Routes(undefined, { family: 'any', timeout: 1000 }) },
      decide: undefined,
    } as unknown as ServerState;
    const local = { host: RELAY, port: 1080 };
    const remote = { host: CLIENT, port: 4999 };
    const connection = { local, remote, destroy: () => undefined } as unknown as Connection;
    const listener = { settings: { udp: { advertise: [], replies } }, place: '' };
    this.session = new Session('1', connection, listener as unknown as OpenListener);
  }

  /** Why the session was ended. */
  get ended(): string | undefined {
    return this.session.failure?.message;
  }

  async open(): Promise<Association> {
    const clientPort = new ClientPort(this.#clientPort, true);
    this.#isDeclared = this.#clientPort !== 0;
    const association = await Association.open(this.session, clientPort, this.#state);
    this.session.enters('relay');
    return association;
  }

  /** Simulates a datagram on the client's side. */
  hear(datagram: Uint8Array, from: Endpoint): void {
    if (this.session.failure !== undefined) return;
    this.#heard++;
    const header = readHeader(datagram);
    const isClient = from.host === CLIENT && (this.#clientPort === 0 || this.#clientPort === from.port);
    const isOther = from.host === CLIENT && !isClient && !this.#isDeclared;
    if (isOther && header !== undefined) this.#isContested = true;
    if (isClient && header !== undefined) {
      this.#clientPort = from.port;
      if (header.value.fragment === 0) this.#count(datagram.subarray(header.size), 1);
      else this.#fragments++;
    }
    this.#inside.deliver(datagram, from);
  }

  /** Simulates a datagram on the destinations' side. */
  answer(data: Uint8Array, from: Endpoint): void {
    this.#checkSent();
    const family = from.host.includes(':') ? '::' : '0.0.0.0';
    this.#outside.find(({ local }) => local.host === family)?.deliver(data, from);
    const [sent, ...more] = this.engine.sent;
    if (sent === undefined) return;
    const isAsked = this.#peers.has(sent.from.peer(from).key) || this.#replies === 'any';
    keeps('only who was sent to may answer', isAsked, () => from.host);
    same('an answer is one datagram', more.length, 0);
    const header = readHeader(sent.data);
    const address = addressOf(from.host, from.port);
    same('an answer says where it comes from', header?.value, { fragment: 0, address });
    same('an answer is passed on whole', textOf(sent.data.subarray(header!.size)), textOf(data));
  }

  /** Switches the rules between allowing nothing and the original ones. */
  async reload(): Promise<void> {
    await this.settle();
    this.#state.policy = this.#state.policy === SOME ? NOTHING : SOME;
    this.#state.decisions++;
    this.session.recheck?.(undefined);
    if (this.#state.policy === NOTHING) this.#peers.clear();
  }

  /** Waits for all decisions, and checks everything that was sent. */
  async settle(): Promise<void> {
    await new Promise((done) => setImmediate(done));
    this.#checkSent();
  }

  check({ counts }: Association): void {
    if (this.#isContested && this.ended === 'client:relay:port-conflict') return;
    same('no datagram ends a session', this.ended, undefined);
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const told = this.#passed + all - counts.unasked;
    const isRight = told <= this.#heard && told + this.#fragments >= this.#heard;
    keeps('every datagram is counted once', isRight, () => `${told} of ${this.#heard}`);
  }

  /** Called after the association was closed. */
  checkEnd(association: Association): void {
    const { sent, received } = association;
    for (const socket of this.engine.sockets) {
      keeps('every socket is closed', socket.isClosed);
      keeps('its ports are free again', !this.#ports.isOwnPort(parseIp(RELAY)!, socket.local.port, 'udp'));
    }
    same('it holds nothing', this.associations.held, 0);
    association.fromClient(Uint8Array.of(0, 0, 0, 1), 0, 4, this.#inside.peer({ host: CLIENT, port: 5000 }));
    same('nothing passes after the end', [association.sent, association.received], [sent, received]);
  }

  get #inside(): MemorySocket {
    return this.engine.sockets[0]!;
  }

  get #outside(): readonly MemorySocket[] {
    return this.engine.sockets.slice(1);
  }

  #checkSent(): void {
    for (const one of this.engine.sent.splice(0)) {
      if (one.from !== this.#inside) this.#checkOutgoing(one);
      else {
        const isClient = one.to.host === CLIENT && one.to.port === this.#clientPort;
        keeps('only the client gets answers', isClient, () => one.to.key);
      }
    }
  }

  #checkOutgoing({ from, to, data }: SentDatagram): void {
    const mayPass = this.#state.policy === SOME && isAllowed(to);
    keeps('nothing goes where no rule allows it', mayPass, () => to.key);
    same('a socket is of the family it sends to', from.local.host, to.host.includes(':') ? '::' : '0.0.0.0');
    this.#passed++;
    this.#peers.add(to.key);
    if ((this.#data.get(textOf(data)) ?? 0) > 0) this.#count(data, -1);
    else keeps('what is sent on is what the client sent', this.#fragments > 0, () => textOf(data));
  }

  #count(data: Uint8Array, by: number): void {
    const key = textOf(data);
    this.#data.set(key, (this.#data.get(key) ?? 0) + by);
  }
}

async function resolve(name: string): Promise<Ip[]> {
  if (name.endsWith('.silent.test')) return new Promise(() => {});
  const ip = parseIp(HOSTS[name] ?? '');
  if (ip === undefined) throw new ResolveError('ENOTFOUND', name);
  return [ip];
}

function readHeader(datagram: Uint8Array): Decoded<UdpHeader> | undefined {
  try {
    return decodeUdpHeader(datagram);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function textOf(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}
