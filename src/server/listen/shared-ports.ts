import type { Engine, Peer, UdpSocket } from '../../net/engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import { Failure } from '../failure.ts';
import type { OwnPorts } from './own-ports.ts';
import type { RelayPort } from './relay-ports.ts';

/** What is known of the port that a client sends from. */
interface MemberPort {
  /** 0 = none. */
  readonly declared: number;
  /** The one that is accepted so far; 0 = none. */
  readonly port: number;
  /** No other is accepted any more. */
  readonly isSettled: boolean;
  /** From now on only the declared one is accepted. */
  settle(): void;
  /** Whether this is the port, or could still turn out to be. */
  mayBe(port: number): boolean;
}

/** An association at a shared port. */
interface Member {
  /** The client's address. */
  readonly host: string;
  readonly clientPort: MemberPort;
  received(buffer: Uint8Array, start: number, end: number, from: Peer): void;
}

/** The ports that many associations share: one socket for each local address and port, while it is in use. */
export class SharedPorts {
  readonly #engine: Pick<Engine, 'udp'>;
  readonly #ports: Pick<OwnPorts, 'add'>;
  readonly #open = new Map<string, Promise<SharedPort>>();

  constructor(engine: Pick<Engine, 'udp'>, ports: Pick<OwnPorts, 'add'>) {
    this.#engine = engine;
    this.#ports = ports;
  }

  /**
   * Where another association has the same client address, ports tell them apart: then the member's must be
   * declared, and no other is accepted. Rejects with a Failure, or with Node's error.
   */
  async join(at: Endpoint, member: Member): Promise<RelayPort> {
    const key = `${at.host} ${at.port}`;
    for (;;) {
      const opening = this.#open.get(key) ?? this.#bind(at, key);
      const port = await opening;
      // It may have closed in the meantime.
      if (this.#open.get(key) === opening) return port.join(member);
    }
  }

  #bind(at: Endpoint, key: string): Promise<SharedPort> {
    const bind = async (): Promise<SharedPort> => {
      const held: { port?: SharedPort } = {};
      const forget = (): void => {
        if (this.#open.get(key) === opening) this.#open.delete(key);
      };
      const socket = await this.#engine.udp(at, {
        received: (buffer, start, end, from) => held.port?.received(buffer, start, end, from),
        // Whose datagram it was is not known. The interface is gone for good: the next client gets a new socket.
        failed: (code) => {
          if (code === 'ENODEV') forget();
        },
      });
      const disown = this.#ports.add(socket.local, 'udp');
      held.port = new SharedPort(socket, () => {
        forget();
        disown();
      });
      return held.port;
    };
    const opening = bind();
    this.#open.set(key, opening);
    opening.catch(() => this.#open.delete(key));
    return opening;
  }
}

/** The associations of one client address. */
interface Group {
  readonly members: Set<Member>;
  /** The one whose port is not certain yet; there is at most one. */
  open: Member | undefined;
}

/** One socket, and the associations that share it. */
class SharedPort {
  readonly #socket: UdpSocket;
  readonly #emptied: () => void;
  readonly #groups = new Map<string, Group>();
  /** The members with a certain port, by the key of their peer. */
  readonly #settled = new Map<string, Member>();

  constructor(socket: UdpSocket, emptied: () => void) {
    this.#socket = socket;
    this.#emptied = emptied;
  }

  join(member: Member): RelayPort {
    const { host, clientPort } = member;
    const group = this.#groups.get(host) ?? { members: new Set(), open: undefined };
    if (group.members.size > 0) {
      if (clientPort.declared === 0) throw Failure.refusal('declared-port');
      clientPort.settle();
    }
    if (clientPort.isSettled) {
      const key = this.#keyOf(member);
      // The first keeps it, or a neighbour could take it over.
      if (this.#settled.has(key) || group.open?.clientPort.mayBe(clientPort.declared) === true)
        throw Failure.refusal('port-conflict');
      this.#settled.set(key, member);
    } else group.open = member;
    this.#groups.set(host, group);
    group.members.add(member);
    return { socket: this.#socketFor(member), release: () => {} };
  }

  received(buffer: Uint8Array, start: number, end: number, from: Peer): void {
    const member = this.#settled.get(from.key);
    if (member !== undefined) {
      member.received(buffer, start, end, from);
      return;
    }
    const group = this.#groups.get(from.host);
    if (group === undefined) return;
    const { open } = group;
    // Without one to claim it, the datagram is a stranger's, which any of them counts.
    (open ?? first(group.members))?.received(buffer, start, end, from);
    if (open === undefined || group.open !== open || !open.clientPort.isSettled) return;
    group.open = undefined;
    this.#settled.set(this.#keyOf(open), open);
  }

  #leave(member: Member): void {
    const group = this.#groups.get(member.host);
    if (group?.members.delete(member) !== true) return;
    if (group.open === member) group.open = undefined;
    else this.#settled.delete(this.#keyOf(member));
    if (group.members.size > 0) return;
    this.#groups.delete(member.host);
    if (this.#groups.size > 0) return;
    this.#emptied();
    this.#socket.close();
  }

  #keyOf({ host, clientPort }: Member): string {
    return this.#socket.peer({ host, port: clientPort.port }).key;
  }

  /** The socket as the member's own. */
  #socketFor(member: Member): UdpSocket {
    const socket = this.#socket;
    const close = (): void => this.#leave(member);
    return {
      local: socket.local,
      peer: (to) => socket.peer(to),
      send: (buffer, start, end, to) => socket.send(buffer, start, end, to),
      close,
      [Symbol.dispose]: close,
    };
  }
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  return set.values().next().value;
}
