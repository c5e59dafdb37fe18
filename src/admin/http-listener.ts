import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { ListenOptions, Socket } from 'node:net';
import type { UnixSocket } from '../net/engine.ts';
import { bindPath, withMode } from '../net/unix.ts';
import type { Endpoint } from '../wire/address.ts';

/** A request. Its body, if it has one, is not read. */
export interface Asked {
  readonly method: string;
  /** The path and query, as sent. */
  readonly url: string;
  readonly hasBody: boolean;
}

export interface Answer {
  readonly status: number;
  /** The media type of the body. */
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Requests from operators, balancers and monitoring are short and few. */
const LIMITS = {
  requestTimeout: 5000,
  headersTimeout: 5000,
  connectionsCheckingInterval: 1000,
  maxHeaderSize: 4096,
};
/** Concurrent connections; a newcomer replaces the oldest, so that no client can block the others. */
const CONNECTIONS = 16;
/** Milliseconds without progress after which a client that does not read its answer is disconnected. */
const UNREAD = 30_000;

/** A small HTTP server: one request per connection, with limits on everything that a client can send or keep open. */
export class HttpListener implements AsyncDisposable {
  readonly #server: HttpServer;
  /** The port, if it listens on one. */
  readonly port: number | undefined;

  /**
   * Rejects with Node's error when it cannot listen. A socket left behind by a dead server is replaced.
   * `answer` must not reject.
   */
  static async open(
    at: Endpoint | UnixSocket,
    answer: (asked: Asked) => Promise<Answer>,
  ): Promise<HttpListener> {
    const asked = new WeakSet<Socket>();
    const open = new Set<Socket>();
    const server = createServer(LIMITS, (request, response) => {
      // Only one request is answered per connection.
      if (asked.has(request.socket)) return;
      asked.add(request.socket);
      void respond(request, response, answer);
    });
    server.on('connection', (socket) => {
      if (open.size === CONNECTIONS) {
        // One that waits for its answer goes last.
        const all = [...open];
        (all.find((one) => !asked.has(one)) ?? all[0])?.destroy();
      }
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    });
    await ('path' in at ? bindPath(at, () => listen(server, at)) : listen(server, at));
    // The server makes no requests. Without descriptors it is silent, which the client sees as a time-out.
    server.on('error', () => {});
    server.unref();
    return new HttpListener(server);
  }

  private constructor(server: HttpServer) {
    this.#server = server;
    const address = server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function listen(server: HttpServer, at: Endpoint | UnixSocket): Promise<void> {
  const listening = once(server, 'listening');
  // Node binds a path before `listen` returns.
  if ('path' in at) withMode(at, () => server.listen({ path: at.path }));
  else server.listen({ host: at.host, port: at.port, exclusive: true } satisfies ListenOptions);
  await listening;
}

async function respond(
  { method = '', url = '', headers, socket }: IncomingMessage,
  response: ServerResponse,
  answer: (asked: Asked) => Promise<Answer>,
): Promise<void> {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  const { status, type, body, headers: more } = await answer({ method, url, hasBody });
  socket.setTimeout(UNREAD, () => socket.destroy());
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    Connection: 'close',
    ...more,
  });
  response.end(body);
}
