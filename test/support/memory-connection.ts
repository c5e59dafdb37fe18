import type { Duplex } from 'node:stream';
import type { Connection, Relay, RelayEnd, RelayOptions, RelayOwner } from '../../src/net/engine.ts';
import type { Endpoint } from '../../src/wire/address.ts';

interface Reader {
  resolve(bytes: Uint8Array | undefined): void;
  reject(error: Error): void;
}

/** Like the errors of Node. */
export function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** One end of a connection within this process. */
export class MemoryConnection implements Connection {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** The interface that it arrived on. */
  device: string | undefined;
  #other!: MemoryConnection;
  #inbox: Uint8Array[] = [];
  /** The other end has ended its direction. */
  #isEnded = false;
  #hasEnded = false;
  #error: Error | undefined;
  #reader: Reader | undefined;
  #lost: ((error?: Error) => void) | undefined;
  readonly #closed = Promise.withResolvers<void>();

  private constructor(local: Endpoint, remote: Endpoint) {
    this.local = local;
    this.remote = remote;
  }

  /** Two ends with these addresses. */
  static pair(one: Endpoint, other: Endpoint): readonly [MemoryConnection, MemoryConnection] {
    const near = new MemoryConnection(one, other);
    const far = new MemoryConnection(other, one);
    near.#other = far;
    far.#other = near;
    return [near, far];
  }

  get held(): number {
    return this.#inbox.reduce((sum, { length }) => sum + length, 0);
  }

  get isDestroyed(): boolean {
    return this.#error !== undefined;
  }

  cameBy(interfaceName: string): boolean {
    return this.device === interfaceName;
  }

  read(): Promise<Uint8Array | undefined> {
    const bytes = this.#inbox.shift();
    if (bytes !== undefined) return Promise.resolve(bytes);
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#isEnded) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  unread(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#inbox.unshift(bytes);
  }

  write(bytes: Uint8Array): void {
    const other = this.#other;
    if (this.#error === undefined && !this.#hasEnded) other.#arrives(new Uint8Array(bytes));
  }

  /** Ends this direction only. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#other.#ends();
  }

  onLost(lost: (error?: Error) => void): void {
    this.#lost = lost;
    if (this.#error !== undefined || this.#isEnded) queueMicrotask(() => this.#lose());
  }

  /** Removes the callback, as the connection now has another owner. */
  handOver(): void {
    this.#lost = undefined;
  }

  closeGracefully(): Promise<void> {
    this.handOver();
    this.end();
    this.#inbox = [];
    if (this.#isEnded) this.#close();
    return this.#closed.promise;
  }

  destroy(reason?: Error): void {
    this.#inbox = [];
    this.end();
    this.#fail(reason ?? failure('ECONNABORTED'));
  }

  /** The other end sees that the connection was cut. */
  reset(): void {
    this.destroy();
    this.#other.#fail(failure('ECONNRESET'));
  }

  detach(): Duplex {
    throw new Error('there are no streams here');
  }

  #arrives(bytes: Uint8Array): void {
    if (this.#error !== undefined || this.#isEnded) return;
    if (this.#reader === undefined) this.#inbox.push(bytes);
    else this.#takeReader().resolve(bytes);
  }

  #ends(): void {
    if (this.#error !== undefined || this.#isEnded) return;
    this.#isEnded = true;
    if (this.#reader !== undefined) this.#takeReader().resolve(undefined);
    if (this.#hasEnded) this.#close();
    queueMicrotask(() => this.#lose());
  }

  #fail(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    if (this.#reader !== undefined) this.#takeReader().reject(error);
    this.#close();
    queueMicrotask(() => this.#lose());
  }

  #close(): void {
    this.#closed.resolve();
  }

  #lose(): void {
    const lost = this.#lost;
    this.#lost = undefined;
    lost?.(this.#error);
  }

  #takeReader(): Reader {
    const reader = this.#reader!;
    this.#reader = undefined;
    return reader;
  }
}

/** Joins two connections. It has no clock: `endBy` simulates a time-out. */
export class MemoryRelay implements Relay {
  sent = 0;
  received = 0;
  readonly held = 0;
  readonly options: RelayOptions;
  readonly #client: MemoryConnection;
  readonly #target: MemoryConnection;
  readonly #owner: RelayOwner;
  #endedFirst: 'client' | 'target' | undefined;
  #isOver = false;

  constructor(client: MemoryConnection, target: MemoryConnection, options: RelayOptions, owner: RelayOwner) {
    this.#client = client;
    this.#target = target;
    this.options = options;
    this.#owner = owner;
    client.handOver();
    target.handOver();
    const directions = [
      this.#pump('client', client, target, (size) => (this.sent += size)),
      this.#pump('target', target, client, (size) => (this.received += size)),
    ];
    void Promise.all(directions).then(() => this.endBy({ by: this.#endedFirst! }));
  }

  abort(): void {
    this.endBy({ by: 'abort' });
  }

  endBy(end: RelayEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const isOrderly = (end.by === 'client' || end.by === 'target') && end.error === undefined;
    for (const side of [this.#client, this.#target]) {
      if (isOrderly) side.destroy();
      else side.reset();
    }
    queueMicrotask(() => this.#owner.relayEnded(end));
  }

  async #pump(
    name: 'client' | 'target',
    from: MemoryConnection,
    to: MemoryConnection,
    count: (size: number) => void,
  ): Promise<void> {
    try {
      for (let bytes = await from.read(); bytes !== undefined; bytes = await from.read()) {
        to.write(bytes);
        count(bytes.length);
      }
      this.#endedFirst ??= name;
      to.end();
    } catch (error) {
      this.endBy({ by: name, error: (error as NodeJS.ErrnoException).code ?? String(error) });
    }
  }
}
