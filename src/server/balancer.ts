import type { Connection } from '../net/engine.ts';
import { concat } from '../wire/bytes.ts';
import { decodeProxyHeader } from '../wire/proxy-header.ts';
import type { ProxyHeader } from '../wire/proxy-header.ts';
import { Failure } from './failure.ts';

/** Reads the PROXY header with which a balancer begins each connection; what came behind it is given back. */
export async function readProxyHeader(client: Connection): Promise<ProxyHeader> {
  let bytes: Uint8Array = new Uint8Array();
  for (;;) {
    const header = decodeProxyHeader(bytes);
    if (header !== undefined) {
      client.unread(bytes.subarray(header.size));
      return header.value;
    }
    const more = await client.read();
    if (more === undefined) throw new Failure('client', 'accept');
    bytes = concat(bytes, more);
  }
}
