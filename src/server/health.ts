import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Endpoint } from '../wire/address.ts';
import type { OwnPorts } from './listen/own-ports.ts';

/** The answer of the health server. */
export interface Readiness {
  /** Whether new clients should be sent here. */
  readonly ready: boolean;
  /** The faults, one line each. */
  readonly faults: readonly string[];
}

/** Requests from balancers and orchestrators are short and few. */
const LIMITS = {
  requestTimeout: 5000,
  headersTimeout: 5000,
  connectionsCheckingInterval: 1000,
  maxHeaderSize: 4096,
};
/** Concurrent connections; a newcomer replaces the oldest, so that no client can block the others. */
const CONNECTIONS = 16;

/** GET /healthz: the process is alive. GET /readyz: it accepts new clients, else 503 with the reasons. */
export class HealthEndpoint implements AsyncDisposable {
  /** As configured, and with the actual port. */
  readonly wanted: Endpoint;
  readonly at: Endpoint;
  readonly #server: HttpServer;
  readonly #forget: () => void;

  /** Rejects with Node's error when it cannot listen. */
  static async open(
    wanted: Endpoint,
    readiness: () => Promise<Readiness>,
    ports: OwnPorts,
  ): Promise<HealthEndpoint> {
    const asked = new WeakSet<Socket>();
    const respond = async (
      { method, url, socket }: IncomingMessage,
      response: ServerResponse,
    ): Promise<void> => {
      // Only one request is answered per connection.
      if (asked.has(socket)) return;
      asked.add(socket);
      const { status, lines } = await answer(method, url, readiness);
      response.writeHead(status, {
        'Content-Type': 'text/plain; charset=utf-8',
        'Cache-Control': 'no-store',
        Connection: 'close',
        ...(status === 405 && { Allow: 'GET, HEAD' }),
      });
      response.end(`${lines.join('\n')}\n`);
    };
    const server = createServer(LIMITS, (request, response) => void respond(request, response));
    const open = new Set<Socket>();
    server.on('connection', (socket) => {
      const [oldest] = open;
      if (open.size === CONNECTIONS) oldest?.destroy();
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    });
    const listening = once(server, 'listening');
    server.listen({ host: wanted.host, port: wanted.port, exclusive: true });
    await listening;
    // The server makes no requests. Without descriptors it is silent, which the prober sees as a time-out.
    server.on('error', () => {});
    server.unref();
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : wanted.port;
    return new HealthEndpoint(server, wanted, port, ports);
  }

  private constructor(server: HttpServer, wanted: Endpoint, port: number, ports: OwnPorts) {
    this.#server = server;
    this.wanted = wanted;
    this.at = { host: wanted.host, port };
    this.#forget = ports.add(this.at, 'tcp');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#forget();
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function answer(
  method: string | undefined,
  url: string | undefined,
  readiness: () => Promise<Readiness>,
): Promise<{ readonly status: number; readonly lines: readonly string[] }> {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, lines: ['GET or HEAD'] };
  switch (url) {
    case '/healthz':
      return { status: 200, lines: ['ok'] };
    case '/readyz': {
      const { ready, faults } = await readiness();
      return { status: ready ? 200 : 503, lines: [ready ? 'ready' : 'not ready', ...faults] };
    }
    default:
      return { status: 404, lines: ['/healthz or /readyz'] };
  }
}
