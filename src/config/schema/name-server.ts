import { parseName } from '../../policy/names.ts';
import type { NameServer } from '../../resolve/system.ts';
import { ipOf, parseIp } from '../../wire/ip.ts';
import { parseEndpoint } from './listen-address.ts';
import { literalAddress } from './literal-address.ts';
import { text, value } from './value.ts';
import type { Schema } from './value.ts';
import { ValueError, quote } from '../source/value-error.ts';

const EXAMPLE = 'write an address such as 10.0.0.53 or 10.0.0.53:53';
const EXAMPLES = {
  tls: 'write tls://10.0.0.53, or with the name in its certificate tls://10.0.0.53#dns.example',
  https:
    'write https://10.0.0.53/dns-query, or with the name in its certificate https://10.0.0.53/dns-query#dns.example',
} as const;
const PORTS = { plain: 53, tls: 853, https: 443 } as const;

/** A name server by its address; the port is optional. The name in its certificate follows after #. */
export const nameServer: Schema<NameServer, string> = value(
  {
    type: 'string',
    examples: ['10.0.0.53', '[fd00::53]:53', 'tls://10.0.0.53#dns.example', 'https://10.0.0.53/dns-query'],
  },
  (input) => {
    const written = text(input, 'an address such as 10.0.0.53 or tls://10.0.0.53');
    const [, scheme, place = '', path, name] =
      /^(tls|https):\/\/([^/#]+)(\/[^#]*)?(?:#(.*))?$/.exec(written) ?? [];
    if (scheme !== 'tls' && scheme !== 'https') return address(written, PORTS.plain, EXAMPLE);
    const example = EXAMPLES[scheme];
    const fault = faultIn(scheme, place, path, name);
    if (fault !== undefined) throw new ValueError(`${quote(written)}: ${fault}`, example);
    return {
      ...address(place, PORTS[scheme], example),
      encrypted: {
        ...(name !== undefined && { name: parseName(name)! }),
        ...(path !== undefined && { path }),
      },
    };
  },
);

function faultIn(
  scheme: 'tls' | 'https',
  place: string,
  path: string | undefined,
  name: string | undefined,
): string | undefined {
  if (ipOf(place)?.family === 6) return 'an IPv6 address needs brackets';
  if (scheme === 'tls' && path !== undefined) return 'DNS over TLS has no path';
  if (scheme === 'https' && path === undefined) return 'DNS over HTTPS has a path';
  if (path !== undefined && !/^[\x21-\x7e]+$/.test(path)) return 'the path has characters that no URL has';
  if (name !== undefined && (parseName(name) === undefined || parseIp(name) !== undefined))
    return 'there is no name after #';
  return undefined;
}

/** Only literal addresses: resolving a name would need a name server. */
function address(written: string, port: number, example: string): { host: string; port: number } {
  const bare = literalAddress(written.replace(/^\[(.*:.*)\]$/, '$1'));
  if (bare !== undefined) return { host: bare, port };
  const endpoint = parseEndpoint(written, example);
  const host = literalAddress(endpoint.host);
  if (host === undefined || endpoint.port === 0)
    throw new ValueError(`${quote(written)} is not the address of a name server`, example);
  return { host, port: endpoint.port };
}
