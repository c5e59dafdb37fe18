import { sourceFor } from '../net/source.ts';
import { formatIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { Reply } from '../wire/socks5.ts';
import { UpstreamError } from './error.ts';
import { alternate, mostTelling } from './happy-eyeballs.ts';

/** Addresses of a name that are tried at a far end that cannot reach them. */
const FAR = 3;
/** The far end lacks the way to one address, and may have one to another. */
const NO_WAY: ReadonlySet<Reply> = new Set<Reply>([
  Reply.networkUnreachable,
  Reply.hostUnreachable,
  Reply.addressTypeNotSupported,
]);

/**
 * For what shakes no hands, so that no race can tell: the first address that can be used from here, one after the other in the order of
 * a race. `use` throws for those that cannot, as they have another family than the egress. Rejects with the error that says most.
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

/** The local address towards a literal one. Throws ENETUNREACH when the kernel knows no way there. */
export function wayFromHere(host: string): string {
  const source = sourceFor(host);
  if (source === undefined) throw Object.assign(new Error(`no route to ${host}`), { code: 'ENETUNREACH' });
  return source;
}

/** The first address that the far end of a way can reach. Rejects with the first error. */
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
