import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { address, Command, RawClient, readAddress, request5 } from './raw.ts';

const PATIENCE = 10_000;

/** A UDP socket that keeps the datagrams it receives. */
export class Datagrams implements Disposable {
  readonly #socket: Socket;
  readonly #received: { readonly data: Buffer; readonly port: number }[] = [];
  #notify: () => void = () => undefined;

  static async bind(host: string): Promise<Datagrams> {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.bind(0, host);
    await once(socket, 'listening');
    return new Datagrams(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (data, { port }) => {
      this.#received.push({ data, port });
      this.#notify();
    });
  }

  get host(): string {
    return this.#socket.address().address;
  }

  get port(): number {
    return this.#socket.address().port;
  }

  send(data: Uint8Array, to: { host: string; port: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(data, to.port, to.host, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** The next datagram; rejects when none arrives. */
  async receive(): Promise<{ readonly data: Buffer; readonly port: number }> {
    if (this.#received.length === 0) {
      const come = new Promise<void>((resolve) => (this.#notify = resolve));
      const timer = setTimeout(this.#notify, PATIENCE);
      await come;
      clearTimeout(timer);
    }
    const next = this.#received.shift();
    assert.ok(next !== undefined, 'no datagram came');
    return next;
  }

  /** The number of datagrams received but not taken. */
  get waiting(): number {
    return this.#received.length;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** RSV, FRAG, ATYP, DST.ADDR, DST.PORT and DATA (RFC 1928 section 7). */
export function frame(to: { host: string; port: number }, data: string | Uint8Array, fragment = 0): Buffer {
  return Buffer.concat([Buffer.of(0, 0, fragment), address(to.host, to.port), Buffer.from(data)]);
}

/** The control connection, and the address to send to. */
export interface Association extends Disposable {
  readonly control: RawClient;
  readonly relay: { readonly host: string; readonly port: number };
}

/**
 * Requests UDP ASSOCIATE. `from`: the address that the client declares; `before`: bytes to send first; `by`:
 * the connection to use.
 */
export async function associate(
  proxy: { host: string; port: number },
  from: { host: string; port: number } = { host: '0.0.0.0', port: 0 },
  before: Uint8Array = Buffer.of(),
  by?: RawClient,
): Promise<Association> {
  using guard = new DisposableStack();
  const control = guard.use(by ?? (await RawClient.connect(proxy)));
  control.send(before, '05 01 00', request5(Command.associate, from.host, from.port));
  await control.expect('05 00  05 00 00');
  const relay = await readAddress(control);
  guard.move();
  return { control, relay, [Symbol.dispose]: () => control[Symbol.dispose]() };
}
