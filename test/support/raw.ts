import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { cert } from './certificate.ts';
import { PATIENCE } from './process.ts';

/** Bytes as `05 01 00`. */
export function formatHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** The bytes of `05 01 00`; bytes are returned unchanged. */
export function parseHex(message: string | Uint8Array): Buffer {
  return typeof message === 'string' ? Buffer.from(message.replaceAll(' ', ''), 'hex') : Buffer.from(message);
}

/** ATYP, DST.ADDR and DST.PORT (RFC 1928 section 5). */
export function address(host: string, port: number): Buffer {
  const tail = Buffer.of(port >> 8, port & 255);
  if (isIP(host) === 4) return Buffer.concat([Buffer.of(1), ipv4(host), tail]);
  if (isIP(host) === 6) return Buffer.concat([Buffer.of(4), ipv6(host), tail]);
  return nameAddress(host, port);
}

/** The same with ATYP 3, whatever the host is. */
export function nameAddress(host: string, port: number): Buffer {
  const text = Buffer.from(host);
  return Buffer.concat([Buffer.of(3, text.length), text, Buffer.of(port >> 8, port & 255)]);
}

export const Command = { connect: 1, bind: 2, associate: 3, resolve: 0xf0, resolvePtr: 0xf1 } as const;

export function request5(command: number, host: string, port: number): Buffer {
  return Buffer.concat([Buffer.of(5, command, 0), address(host, port)]);
}

/** A request with the host as a name, even if it is an address. */
export function request5ByName(command: number, host: string, port: number): Buffer {
  return Buffer.concat([Buffer.of(5, command, 0), nameAddress(host, port)]);
}

/** A SOCKS4 request, or SOCKS4A for a name. */
export function request4(command: number, host: string, port: number): Buffer {
  const named = isIP(host) === 0;
  const head = Buffer.of(4, command, port >> 8, port & 255);
  const name = named ? Buffer.from(`${host}\0`) : Buffer.of();
  return Buffer.concat([head, ipv4(named ? '0.0.0.1' : host), Buffer.of(0), name]);
}

/** A TCP client that sends and receives exact bytes. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  /** The socket to reset: the same one, or the one below TLS. */
  readonly #below: Socket;
  readonly #localPort: number;
  #received = Buffer.of();
  #ended = false;
  #error: Error | undefined;
  #notify: () => void = () => undefined;

  private constructor(socket: Socket, below = socket) {
    this.socket = socket;
    this.#below = below;
    this.#localPort = below.localPort!;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#notify();
    });
    socket.on('end', () => {
      this.#ended = true;
      this.#notify();
    });
    socket.on('error', (error) => {
      this.#error = error;
      this.#notify();
    });
  }

  static async connect({ host, port }: { host: string; port: number }, from?: string): Promise<RawClient> {
    const socket = connect({
      host,
      port,
      allowHalfOpen: true,
      noDelay: true,
      ...(from && { localAddress: from }),
    });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new RawClient(socket);
  }

  /** Over TLS, to a proxy with the certificate for `localhost`. */
  static async connectTls(proxy: { host: string; port: number }, from?: string): Promise<RawClient> {
    const { socket: below } = await RawClient.connect(proxy, from);
    below.removeAllListeners('data');
    const socket = connectTls({ socket: below, ca: cert, servername: 'localhost' });
    try {
      await once(socket, 'secureConnect');
    } catch (error) {
      below.destroy();
      throw new Error(`${(error as Error).message}, with 0 bytes: `, { cause: error });
    }
    return new RawClient(socket, below);
  }

  get localPort(): number {
    return this.#localPort;
  }

  /** Sends all parts, in one segment if they fit; strings are hexadecimal. */
  send(...parts: readonly (string | Uint8Array)[]): void {
    this.socket.write(Buffer.concat(parts.map(parseHex)));
  }

  /** Exactly the next `count` bytes. */
  async read(count: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= count, `${count} bytes`);
    const result = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return result;
  }

  /** Asserts that these bytes arrive next. */
  async expect(message: string | Uint8Array): Promise<void> {
    const expected = parseHex(message);
    assert.equal(formatHex(await this.read(expected.length)), formatHex(expected));
  }

  /** Everything up to a normal end of the stream. */
  async rest(): Promise<Buffer> {
    await this.#until(() => this.#ended, 'the end');
    const result = this.#received;
    this.#received = Buffer.of();
    return result;
  }

  /** Waits until the connection is closed, normally or not; unread data is dropped. */
  async gone(): Promise<void> {
    await this.#until(() => this.#ended || this.#error !== undefined, 'the end', true);
  }

  /** Ends this direction only. */
  end(): void {
    this.socket.end();
  }

  reset(): void {
    this.#below.resetAndDestroy();
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  async #until(done: () => boolean, wanted: string, evenBroken = false): Promise<void> {
    const start = performance.now();
    while (!done()) {
      const got = `waiting for ${wanted}, with ${this.#received.length} bytes: ${formatHex(this.#received.subarray(0, 64))}`;
      if (this.#error !== undefined && !evenBroken) throw new Error(`${this.#error.message}, ${got}`);
      if (this.#ended) throw new Error(`ended, ${got}`);
      const left = PATIENCE - (performance.now() - start);
      if (left <= 0) throw new Error(`too long, ${got}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#notify = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** Connects through a proxy; returns the client, joined with the target from then on, and BND. */
export async function connectThrough(
  proxy: { host: string; port: number },
  target: { host: string; port: number },
  from?: string,
): Promise<RawClient> {
  const client = await RawClient.connect(proxy, from);
  client.send('05 01 00', request5(Command.connect, target.host, target.port));
  await client.expect('05 00  05 00 00');
  await readAddress(client);
  return client;
}

/** Asserts that data passes through the proxy to an echo server and back, until both directions end. */
export async function works(
  proxy: { host: string; port: number },
  echo: { host: string; port: number },
): Promise<void> {
  using client = await connectThrough(proxy, echo);
  client.send(Buffer.from('there and back'));
  client.end();
  assert.equal((await client.rest()).toString(), 'there and back');
}

/** The address of a reply. */
export async function readAddress(client: RawClient): Promise<{ host: string; port: number }> {
  const type = (await client.read(1))[0]!;
  assert.ok(type === 1 || type === 4, `ATYP ${type}`);
  const ip = await client.read(type === 1 ? 4 : 16);
  const port = (await client.read(2)).readUInt16BE();
  if (type === 1) return { host: ip.join('.'), port };
  const groups = Array.from({ length: 8 }, (_, i) => ip.readUInt16BE(2 * i).toString(16));
  return { host: new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1), port };
}

/** The reply code for a request, after which the server must close. */
export async function replyCode(proxy: { host: string; port: number }, request: Uint8Array): Promise<number> {
  using client = await RawClient.connect(proxy);
  const version = request[0]!;
  if (version === 5) {
    client.send('05 01 00');
    await client.expect('05 00');
  }
  client.send(request);
  const reply = await client.rest();
  assert.equal(reply[0], version === 5 ? 5 : 0);
  assert.equal(reply.length, version === 5 ? 10 : 8, `a whole reply: ${formatHex(reply)}`);
  return reply[1]!;
}

function ipv4(host: string): Buffer {
  return Buffer.from(host.split('.').map(Number));
}

function ipv6(host: string): Buffer {
  const [head, tail] = new URL(`http://[${host}]`).hostname
    .slice(1, -1)
    .split('::')
    .map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = Array<string>(8 - head!.length - (tail?.length ?? 0)).fill('0');
  return Buffer.from(
    [...head!, ...zeros, ...(tail ?? [])].map((group) => group.padStart(4, '0')).join(''),
    'hex',
  );
}
