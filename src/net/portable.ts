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
import { PortableConnection } from './portable/connection.ts';
import { PortableRelay } from './portable/relay.ts';
import { signs } from './portable/signs.ts';
import type { Signs } from './portable/signs.ts';
import { Sweep } from './sweep.ts';
import { listen } from './portable/listen.ts';
import { connectTo } from './portable/tcp.ts';
import { bindUdp, Scratch } from './portable/udp.ts';

/** The engine for every platform: node:net and node:dgram. */
export class PortableEngine implements Engine {
  readonly name = 'portable';
  readonly sharesListeners = false;
  readonly #sweep = new Sweep();
  readonly #scratch = new Scratch();
  readonly #signs: Signs;

  /** `kernelSigns`: given where the kernel can be asked for more than Node reports. */
  constructor(kernelSigns: Signs = signs) {
    this.#signs = kernelSigns;
  }

  deviceFault(): string {
    return 'needs the fast engine; start with engine: fast to see why it is not used';
  }

  listen(
    at: ListenAt,
    accepted: (connection: Connection) => void,
    failed: (code: string) => void,
  ): Promise<Listener> {
    return listen(at, accepted, failed);
  }

  connect(to: Endpoint | UnixPath, options: ConnectOptions): Promise<Connection> {
    return connectTo(to, options);
  }

  relay(client: Connection, target: Connection, options: RelayOptions, owner: RelayOwner): Relay {
    return new PortableRelay(portable(client), portable(target), options, owner, this.#sweep, this.#signs);
  }

  udp(at: Endpoint, events: UdpEvents): Promise<UdpSocket> {
    return bindUdp(at, events, this.#scratch);
  }

  adopt(stream: Duplex, local: Endpoint, remote: Endpoint, reset?: Reset): Connection {
    // The stream may have been opened without half-close, which a relay requires.
    stream.allowHalfOpen = true;
    return new PortableConnection(stream, local, remote, reset);
  }
}

function portable(connection: Connection): PortableConnection {
  if (connection instanceof PortableConnection) return connection;
  throw new TypeError('the connection belongs to another engine');
}
