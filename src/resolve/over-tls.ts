import { randomInt } from 'node:crypto';
import { connect } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { Inbox } from '../wire/inbox.ts';
import type { Decoded } from '../wire/decoded.ts';
import { IDLE } from './channel.ts';
import type { Channel, WithId } from './channel.ts';
import { decodeReply } from './message.ts';
import type { Query, Reply } from './message.ts';

interface Waiting {
  readonly query: Query;
  readonly settle: (reply: Reply) => void;
  readonly fail: (cause: unknown) => void;
}

/** DNS over TLS (RFC 7858): length-prefixed messages as over TCP, and answers in any order. */
export class TlsChannel implements Channel {
  readonly #socket: TLSSocket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #inbox = new Inbox();
  /** Whether anything was received since the last query that was given up. */
  #heard = false;
  #isOpen = true;

  constructor(options: ConnectionOptions) {
    this.#socket = connect({ ...options, ALPNProtocols: ['dot'] });
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on('error', (error) => this.#end(error));
    this.#socket.on('end', () => this.#end(new Error('connection closed before the response was complete')));
    this.#socket.setTimeout(IDLE, () => {
      if (this.#waiting.size === 0) this.close();
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  ask(withId: WithId, settle: Waiting['settle'], fail: Waiting['fail']): () => void {
    const id = this.#freeId();
    const query = withId(id);
    this.#waiting.set(id, { query, settle, fail });
    this.#socket.ref();
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.bytes.length);
    this.#socket.write(Buffer.concat([length, query.bytes]));
    return () => {
      if (this.#waiting.get(id)?.query === query) this.#giveUp(id);
    };
  }

  close(): void {
    this.#end(new Error('closed'));
  }

  #receive(chunk: Buffer): void {
    this.#heard = true;
    this.#inbox.add(chunk);
    for (let next = this.#inbox.take(framed); next !== undefined; next = this.#inbox.take(framed))
      this.#answer(next);
  }

  #answer(message: Buffer): void {
    const waiting = message.length < 2 ? undefined : this.#waiting.get(message.readUInt16BE(0));
    // The answer to a query that was given up.
    if (waiting === undefined) return;
    const { query, settle, fail } = waiting;
    this.#done(query.id);
    const reply = decodeReply(message, query);
    if (reply === undefined || reply.type === 'truncated') fail(new Error('no response to this query'));
    else settle(reply);
  }

  /** Silence may mean that the connection is dead. */
  #giveUp(id: number): void {
    this.#done(id);
    if (!this.#heard) this.#end(new Error('no answer'));
    this.#heard = false;
  }

  /** An idle connection must not keep the process alive. */
  #done(id: number): void {
    this.#waiting.delete(id);
    if (this.#waiting.size > 0) return;
    this.#socket.unref();
    this.#socket.setTimeout(IDLE);
  }

  #end(cause: Error): void {
    this.#isOpen = false;
    this.#socket.destroy();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { fail } of waiting) fail(cause);
  }

  #freeId(): number {
    let id: number;
    do id = randomInt(0x1_0000);
    while (this.#waiting.has(id));
    return id;
  }
}

/** A message and its two-byte length prefix. */
function framed(bytes: Uint8Array): Decoded<Buffer> | undefined {
  if (bytes.length < 2) return undefined;
  const size = 2 + ((bytes[0]! << 8) | bytes[1]!);
  if (bytes.length < size) return undefined;
  return { value: Buffer.from(bytes.buffer, bytes.byteOffset + 2, size - 2), size };
}
