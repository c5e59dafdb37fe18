import { connect, constants } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { IDLE } from './channel.ts';
import type { Channel, WithId } from './channel.ts';
import { decodeReply } from './message.ts';
import type { Reply } from './message.ts';

const TYPE = 'application/dns-message';
/** Bytes of an answer. */
const LIMIT = 0xffff;

/** DNS over HTTPS (RFC 8484), by POST over HTTP/2. */
export class HttpsChannel implements Channel {
  readonly #session: ClientHttp2Session;
  readonly #path: string;
  #fault: Error | undefined;
  #asking = 0;
  #heard = false;

  constructor(options: ConnectionOptions, name: string, path: string) {
    this.#path = path;
    const authority = name.includes(':') ? `[${name}]` : name;
    const port = options.port === 443 ? '' : `:${options.port}`;
    this.#session = connect(`https://${authority}${port}`, {
      createConnection: () => {
        const socket = connectTls({ ...options, ALPNProtocols: ['h2'] });
        socket.once('secureConnect', () => {
          if (socket.alpnProtocol !== 'h2') socket.destroy(new Error('the server does not speak HTTP/2'));
        });
        return socket;
      },
    });
    // Each request in progress receives the error as well.
    this.#session.on('error', (error) => (this.#fault = error));
    this.#session.setTimeout(IDLE, () => {
      if (this.#asking === 0) this.close();
    });
  }

  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  ask(withId: WithId, settle: (reply: Reply) => void, fail: (cause: unknown) => void): () => void {
    const query = withId(0);
    const request = this.#session.request({
      ':method': 'POST',
      ':path': this.#path,
      'content-type': TYPE,
      accept: TYPE,
      'content-length': query.bytes.length,
    });
    this.#asking++;
    this.#session.ref();
    const chunks: Buffer[] = [];
    let size = 0;
    let status: number | undefined;
    request.on('response', (headers) => {
      this.#heard = true;
      status = headers[':status'];
    });
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= LIMIT) chunks.push(chunk);
      else request.close(constants.NGHTTP2_CANCEL);
    });
    request.on('error', (error) => fail(this.#fault ?? error));
    request.on('close', () => {
      this.#asking--;
      if (this.#asking === 0) this.#rest();
      const reply = status === 200 ? decodeReply(Buffer.concat(chunks), query) : undefined;
      if (reply !== undefined && reply.type !== 'truncated') settle(reply);
      else
        fail(
          this.#fault ?? new Error(status === 200 ? 'no response to this query' : `HTTP status ${status}`),
        );
    });
    request.end(query.bytes);
    return () => {
      if (request.closed) return;
      request.close(constants.NGHTTP2_CANCEL);
      // Silence may mean that the connection is dead.
      if (!this.#heard) this.#session.destroy();
      this.#heard = false;
    };
  }

  close(): void {
    this.#session.destroy();
  }

  /** An idle connection must not keep the process alive. */
  #rest(): void {
    this.#session.unref();
    this.#session.setTimeout(IDLE);
  }
}
