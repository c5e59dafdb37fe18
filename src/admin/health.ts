import type { Attachment } from '../server/attachment.ts';
import { NONE } from '../server/change.ts';
import type { Change } from '../server/change.ts';
import type { Server } from '../server/server.ts';
import type { Settings } from '../server/settings.ts';
import { formatAddress } from '../wire/address.ts';
import type { Endpoint } from '../wire/address.ts';
import { HttpListener } from './http-listener.ts';
import type { Answer, Asked } from './http-listener.ts';
import { readinessOf } from './readiness.ts';

/** GET /healthz: the process is alive. GET /readyz: it accepts new clients, else 503 with the reasons. */
export class HealthEndpoint implements Attachment {
  readonly #server: Server;
  #open: Open | undefined;

  constructor(server: Server) {
    this.#server = server;
  }

  /** The address, with the actual port. */
  get at(): Endpoint | undefined {
    return this.#open?.at;
  }

  async prepare({ health: wanted }: Settings): Promise<Change> {
    const open = this.#open;
    if (open !== undefined && wanted !== undefined && formatAddress(open.wanted) === formatAddress(wanted))
      return NONE;
    const next = wanted && (await this.#listen(wanted));
    const commit = async (): Promise<void> => {
      this.#open = next;
      await open?.close();
    };
    return { commit, abort: async () => next?.close() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open?.close();
  }

  /** Clients of the proxy cannot reach its port. */
  async #listen(wanted: Endpoint): Promise<Open> {
    const listener = await HttpListener.open(wanted, (asked) => answer(asked, this.#server));
    const at = { host: wanted.host, port: listener.port ?? wanted.port };
    const forget = this.#server.ownsPort(at);
    const close = async (): Promise<void> => {
      forget();
      await listener[Symbol.asyncDispose]();
    };
    return { wanted, at, close };
  }
}

interface Open {
  /** As configured, and with the actual port. */
  readonly wanted: Endpoint;
  readonly at: Endpoint;
  readonly close: () => Promise<void>;
}

async function answer({ method, url }: Asked, server: Server): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD')
    return { ...text(405, 'GET or HEAD'), headers: { Allow: 'GET, HEAD' } };
  switch (url) {
    case '/healthz':
      return text(200, 'ok');
    case '/readyz': {
      const { ready, faults } = readinessOf(await server.status());
      return text(ready ? 200 : 503, ready ? 'ready' : 'not ready', ...faults);
    }
    default:
      return text(404, '/healthz or /readyz');
  }
}

function text(status: number, ...lines: readonly string[]): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${lines.join('\n')}\n` };
}
