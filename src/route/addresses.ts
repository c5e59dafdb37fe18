import { sourceFor } from '../net/source.ts';
import { formatIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { Reply } from '../wire/socks5.ts';
import { UpstreamError } from './error.ts';
import { alternate, mostTelling } from './happy-eyeballs.ts';

/** How many addresses of a name are tried at a far end that cannot reach them. */
const FAR = 3;
/** The far end has no route to one address, but may have one to another. */
const NO_WAY: ReadonlySet<Reply> = new Set<Reply>([
  Reply.networkUnreachable,
  Reply.hostUnreachable,
  Reply.addressTypeNotSupported,
]);

/**
 * For protocols without a handshake, where no race can be run: tries the addresses in the order of a race and
 * returns the first that is usable from here. `use` throws for one that is not, for instance because its
 * family differs from the egress's. Rejects with the most telling error.
 */
export async function firstFromHere<T>(
  addresses: readonly Ip[],
  use: (host: string) => T | Promise<T>,
): Promise<T> {
  const errors: unknown[] = [];
  for (const ip of alternate(addresses)) {
    try {
      return await use(formatIp(ip));
    } catch (error) {
      errors.push(error);
    }
  }
  throw mostTelling(errors);
}

/**
 * The local address from which the kernel reaches a literal address. Throws ENETUNREACH when there is no
 * route.
 */
export function wayFromHere(host: string): string {
  const source = sourceFor(host);
  if (source === undefined) throw Object.assign(new Error(`no route to ${host}`), { code: 'ENETUNREACH' });
  return source;
}

/** The first address that the far end of a route can reach. Rejects with the first error. */
export async function firstFromThere<T>(
  addresses: readonly Ip[],
  ask: (host: string) => Promise<T>,
): Promise<T> {
  let first: unknown;
  for (const ip of alternate(addresses).slice(0, FAR)) {
    try {
      return await ask(formatIp(ip));
    } catch (error) {
      first ??= error;
      if (!(error instanceof UpstreamError) || !NO_WAY.has(error.reply)) throw error;
    }
  }
  throw first;
}
