import type { Duplex } from 'node:stream';
import { egressFrom } from '../net/egress.ts';
import type { EgressOptions, LocalAddress } from '../net/egress.ts';
import type { Engine, UdpEvents, UdpSocket } from '../net/engine.ts';
import type { Endpoint } from '../wire/address.ts';
import { familyOf, unspecified, withoutZone } from '../wire/ip.ts';
import type { Query } from './message.ts';
import { outcomeOf } from './outcome.ts';
import type { QueryOutcome } from './outcome.ts';

/** Sends queries through the egress of a route, on sockets of the engine, which can be bound to it. */
export class Outlet {
  readonly #engine: Pick<Engine, 'connect' | 'udp'>;
  readonly #from: LocalAddress;

  constructor(engine: Pick<Engine, 'connect' | 'udp'>, egress: EgressOptions) {
    this.#engine = engine;
    this.#from = egressFrom(egress, undefined);
  }

  /** The local address used to reach a literal one; `undefined` when there is none. */
  readonly sourceFor = (host: string): string | undefined => {
    try {
      const from = this.#from(host);
      return from && withoutZone(from);
    } catch {
      return undefined;
    }
  };

  /** Opens a stream to a name server. Rejects with Node's error, or with the signal's reason. */
  async connect({ host, port }: Endpoint, timeout: number, signal: AbortSignal): Promise<Duplex> {
    const from = this.#from(host);
    const limits = { timeout: Math.max(timeout, 1), signal };
    const connection = await this.#engine.connect(
      { host, port },
      from === undefined ? limits : { ...limits, from },
    );
    return connection.detach();
  }

  /**
   * Sends a query as a datagram. `read` turns a datagram from the server into an outcome, if it is an answer.
   */
  async askByDatagram(
    server: Endpoint,
    query: Query,
    patience: number,
    signal: AbortSignal,
    read: (bytes: Buffer) => QueryOutcome | undefined,
  ): Promise<QueryOutcome> {
    const told: { events?: UdpEvents } = {};
    let socket: UdpSocket;
    try {
      const host = this.#from(server.host) ?? unspecified(familyOf(server.host));
      socket = await this.#engine.udp(
        { host, port: 0 },
        {
          received: (...datagram) => told.events?.received(...datagram),
          failed: (code) => told.events?.failed(code),
        },
      );
    } catch (cause) {
      return { type: 'unreachable', cause };
    }
    try {
      return await outcomeOf(patience, signal, (settle, fail) => {
        const to = socket.peer(server);
        told.events = {
          received: (buffer, start, end, from) => {
            const outcome = from.key === to.key ? read(Buffer.from(buffer.slice(start, end))) : undefined;
            if (outcome !== undefined) settle(outcome);
          },
          failed: (code) => fail(Object.assign(new Error(code), { code })),
        };
        socket.send(query.bytes, 0, query.bytes.length, to);
      });
    } finally {
      socket.close();
    }
  }
}
