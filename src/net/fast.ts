import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type {
  Connection,
  ConnectOptions,
  Engine,
  ListenAt,
  Listener,
  Relay,
  RelayOptions,
  RelayOwner,
  Reset,
  UdpEvents,
  UdpSocket,
  UnixPath,
} from './engine.ts';
import type { Endpoint } from '../wire/address.ts';
import { FastConnection } from './fast/connection.ts';
import { deviceFault } from './fast/device.ts';
import { dial } from './fast/dial.ts';
import { listen } from './fast/listen.ts';
import { Loop } from './fast/loop.ts';
import { Pipes } from './fast/pipes.ts';
import { FastRelay } from './fast/relay.ts';
import { kernelSigns } from './fast/signs.ts';
import { bindUdp } from './fast/udp.ts';
import { PortableConnection } from './portable/connection.ts';
import { PortableEngine } from './portable.ts';
import { Sweep } from './sweep.ts';

/**
 * The engine for Linux, on system calls. Connections that need a stream are passed to the portable engine, by
 * their descriptor.
 */
export class FastEngine implements Engine {
  readonly name = 'fast';
  readonly sharesListeners = true;
  readonly #loop: Loop;
  readonly #sweep = new Sweep();
  readonly #pipes: Pipes;
  readonly #portable = new PortableEngine(kernelSigns);

  /** `owned`: see `Loop`. `threads`: the number of threads. */
  constructor(owned?: Int32Array, threads = 1) {
    this.#loop = new Loop(owned);
    this.#pipes = new Pipes(this.#loop, threads);
  }

  deviceFault(): string | undefined {
    return deviceFault();
  }

  listen(
    at: ListenAt,
    accepted: (connection: Connection) => void,
    failed: (code: string) => void,
  ): Promise<Listener> {
    return listen(this.#loop, at, accepted, failed);
  }

  connect(to: Endpoint | UnixPath, options: ConnectOptions): Promise<Connection> {
    return dial(this.#loop, to, options);
  }

  relay(client: Connection, target: Connection, options: RelayOptions, owner: RelayOwner): Relay {
    if (client instanceof FastConnection && target instanceof FastConnection) {
      return new FastRelay(client, target, options, owner, this.#sweep, this.#pipes);
    }
    // A relay never spans two engines.
    return this.#portable.relay(this.#handOver(client), this.#handOver(target), options, owner);
  }

  async udp(at: Endpoint, events: UdpEvents): Promise<UdpSocket> {
    return bindUdp(this.#loop, at, events);
  }

  adopt(stream: Duplex, local: Endpoint, remote: Endpoint, reset?: Reset): Connection {
    return this.#portable.adopt(stream, local, remote, reset);
  }

  /** For a thread that ends before everything is closed. */
  stop(): void {
    this.#loop.stop();
  }

  #handOver(connection: Connection): Connection {
    if (!(connection instanceof FastConnection)) return connection;
    const { local, remote } = connection;
    const stream = connection.detach();
    const socket = stream instanceof Socket ? stream : undefined;
    const successor = new PortableConnection(stream, local, remote, socket);
    connection.succeededBy(successor);
    return successor;
  }
}
