import { isSocks4 } from '../../route/options.ts';
import type { ServerOptions } from '../../route/options.ts';
import { isNumericName, parseName } from '../../policy/names.ts';
import { formatAddress } from '../../wire/address.ts';
import { parseIp } from '../../wire/ip.ts';
import type { Credentials } from '../../wire/password.ts';
import { PROXY_URL_EXAMPLE, parseProxyUrl } from '../../wire/proxy-url.ts';
import { socketPath } from './listen-address.ts';
import { passwordIn } from '../source/mask.ts';
import { text, value } from './value.ts';
import type { Schema } from './value.ts';
import { ValueError } from '../source/value-error.ts';

/** A proxy server described by its URL. */
export type ServerRef = Pick<ServerOptions, 'label' | 'protocol' | 'passesNames' | 'at' | 'path' | 'tls'> & {
  readonly credentials?: Credentials;
};

/** An entry of `via`, `servers` or `chain`: a URL, or the name of an upstream. */
export type UpstreamRef = ServerRef | { readonly name: string };

export const proxyUrl: Schema<ServerRef, string> = value(
  { type: 'string', examples: [PROXY_URL_EXAMPLE] },
  (input) => read(text(input, PROXY_URL_EXAMPLE)),
);

export const upstreamRef: Schema<UpstreamRef, string> = value(
  { type: 'string', examples: [PROXY_URL_EXAMPLE, 'p1'] },
  (input) => {
    const written = text(input, `${PROXY_URL_EXAMPLE}, or the name of an upstream`);
    return written.includes(':') ? read(written) : { name: written };
  },
);

/** Whether the password in a URL is in plain text, with no part of it from the environment. */
export function showsPassword(written: string): boolean {
  const password = passwordIn(written);
  return password !== undefined && !password.includes('${');
}

/** Throws a ValueError for credentials that this protocol cannot carry. */
export function checkCredentials(
  protocol: ServerOptions['protocol'],
  { username, password }: Credentials,
): void {
  if (isSocks4(protocol) && password !== '')
    throw new ValueError(
      'SOCKS4 has a user id but no password',
      'write the id alone: socks4a://ID@HOST:PORT',
    );
  if (protocol === 'http' && username.includes(':'))
    throw new ValueError('HTTP cannot carry a user name with a colon', 'use another name');
  for (const [what, said] of [
    ['user name', username],
    ['password', password],
  ] as const) {
    if (Buffer.byteLength(said) > 255)
      throw new ValueError(`the ${what} is longer than 255 bytes`, 'write a shorter one');
  }
}

/** Messages never quote the URL, which may contain a password. */
function read(written: string): ServerRef {
  const url = parseProxyUrl(written);
  if ('fault' in url) throw new ValueError(url.fault, url.remedy);
  const { label, protocol, passesNames, encrypted, port, path, username, password = '' } = url;
  const credentials = username === undefined ? undefined : { username, password };
  const host = hostOf(url.host);
  if (credentials !== undefined) checkCredentials(protocol, credentials);
  return {
    // The name is converted to ASCII.
    label: path === undefined ? `${url.scheme}://${formatAddress({ host, port })}` : label,
    protocol,
    passesNames,
    at: { host, port },
    ...(path !== undefined && { path: socketPath(path) }),
    ...(encrypted && { tls: {} }),
    ...(credentials !== undefined && { credentials }),
  };
}

/** A name converted to ASCII, or an address. */
function hostOf(written: string): string {
  if (parseIp(written) !== undefined) return written;
  const name = parseName(written);
  if (name === undefined || isNumericName(name))
    throw new ValueError('the host is neither a name nor an address', `write ${PROXY_URL_EXAMPLE}`);
  return name;
}
