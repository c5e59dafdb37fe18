import { parseName } from '../../policy/names.ts';
import { text, value } from './value.ts';
import type { Schema } from './value.ts';
import { ValueError, quote } from '../source/value-error.ts';

/** A service, identified by the name of its SRV records. */
export interface ServiceName {
  readonly name: string;
  /** The domain that offers the service. */
  readonly domain: string;
  /** Whether its servers use TLS. */
  readonly encrypted: boolean;
}

export const serviceName: Schema<ServiceName, string> = value(
  { type: 'string', examples: ['_socks5._tcp.example.org', '_socks5s._tcp.example.org'] },
  (input) => {
    const example = 'write _socks5._tcp.example.org, or _socks5s._tcp.example.org for servers with TLS';
    const written = text(input, 'the name of SRV records, such as _socks5._tcp.example.org');
    const [, kind, domain = ''] = /^_(socks5s?)\._tcp\.(.+)$/i.exec(written) ?? [];
    const name = parseName(written);
    if (kind === undefined || name === undefined || domain.startsWith('_'))
      throw new ValueError(`${quote(written)} is not a service that garter can use`, example);
    return { name, domain: parseName(domain)!, encrypted: kind.toLowerCase() === 'socks5s' };
  },
);
