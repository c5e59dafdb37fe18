import { codeOf } from '../wire/error-code.ts';
import { addressOf, UNSPECIFIED } from '../wire/address.ts';
import { Command } from '../wire/socks5.ts';
import { UpstreamError } from './error.ts';
import { passesCredentials } from './options.ts';
import type { CheckOptions, HealthOptions, UpstreamOptions } from './options.ts';
import { isShortage } from './reply.ts';
import type { Opened, Request, DialContext } from './dial-context.ts';

/** Milliseconds within which a server must answer. */
const PATIENCE = 5000;

type Timeless = Omit<DialContext, 'deadline' | 'hopDeadline'>;
/** Makes a request of the server. */
type Open = (request: Request, context: DialContext) => Promise<Opened>;

/**
 * Checks whether a server is healthy, by a request of garter's own that no client can influence, and records
 * the result. Never rejects.
 */
export async function examine(
  upstream: UpstreamOptions,
  options: HealthOptions,
  context: Timeless,
  open: Open,
): Promise<void> {
  const { health, signal } = context;
  const why = await faultOf(upstream, options, context, open);
  // A shortage on this machine is not the server's fault.
  if (signal.aborted || (why !== undefined && isShortage(why))) return;
  if (why === undefined) health.succeeded(upstream.label, options);
  else health.failed(upstream.label, options, why);
}

/** Why a server does not work now; `undefined` when it does. */
async function faultOf(
  upstream: UpstreamOptions,
  { check }: HealthOptions,
  context: Timeless,
  open: Open,
): Promise<string | undefined> {
  const deadline = performance.now() + PATIENCE;
  try {
    const { stream, release } = await open(requestOf(check), { ...context, deadline, hopDeadline: deadline });
    stream.destroy();
    release();
    return undefined;
  } catch (error) {
    // A server that refuses a client without credentials is up.
    if (error instanceof UpstreamError && error.trouble === 'refused' && passesCredentials(upstream))
      return undefined;
    return codeOf(error) ?? (error as Error).message;
  }
}

function requestOf(check: CheckOptions | undefined): Request {
  const connect = check?.connect;
  return {
    command: Command.connect,
    destination: connect === undefined ? UNSPECIFIED : addressOf(connect.host, connect.port),
    greetsOnly: connect === undefined,
  };
}
