import type { Connection } from '../../net/engine.ts';
import { Inbox } from '../../wire/inbox.ts';
import { decodeProxyHeader } from '../../wire/proxy-header.ts';
import type { ProxyHeader } from '../../wire/proxy-header.ts';
import { Failure } from '../failure.ts';

/**
 * Reads the PROXY header with which a balancer begins each connection; the bytes behind it go back into the
 * stream.
 */
export async function readProxyHeader(client: Connection): Promise<ProxyHeader> {
  const inbox = new Inbox();
  for (;;) {
    const header = inbox.take(decodeProxyHeader);
    if (header !== undefined) {
      client.unread(inbox.drain());
      return header;
    }
    const more = await client.read();
    if (more === undefined) throw new Failure('client', 'accept');
    inbox.add(more);
  }
}
