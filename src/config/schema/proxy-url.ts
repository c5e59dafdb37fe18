import { isSocks4 } from '../../route/options.ts';
import type { ServerOptions } from '../../route/options.ts';
import { isNumericName, parseName } from '../../policy/names.ts';
import { formatAddress } from '../../wire/address.ts';
import { formatIp, parseIp } from '../../wire/ip.ts';
import type { Credentials } from '../../wire/password.ts';
import { socketPath } from './listen-address.ts';
import { passwordIn } from '../source/mask.ts';
import { text, value } from './value.ts';
import type { Schema } from './value.ts';
import { ValueError } from '../source/value-error.ts';

/** A proxy server as its URL gives it. */
export type ProxyUrl = Pick<ServerOptions, 'label' | 'protocol' | 'passesNames' | 'at' | 'path' | 'tls'> & {
  readonly credentials?: Credentials;
};

/** An entry of `via`, `servers` or `chain`: a URL, or the name of an upstream. */
export type UpstreamRef = ProxyUrl | { readonly name: string };

const EXAMPLE = 'socks5h://10.0.3.1:1080';
/** For a URL that ends in the middle of its password, as far as one can tell. */
const ENCODE = 'write / as %2F, ? as %3F and # as %23 in a user name or password, or give the two by login';

/** curl's schemes, and those of SOCKS over TLS: socks4 and socks5 want addresses, socks4a, socks5h and http take names. */
const SCHEMES: Readonly<
  Record<string, Pick<ServerOptions, 'protocol' | 'passesNames' | 'tls'> & { readonly port: number }>
> = {
  socks4: { protocol: 'socks4', passesNames: false, port: 1080 },
  socks4a: { protocol: 'socks4a', passesNames: true, port: 1080 },
  socks5: { protocol: 'socks5', passesNames: false, port: 1080 },
  socks5h: { protocol: 'socks5', passesNames: true, port: 1080 },
  http: { protocol: 'http', passesNames: true, port: 8080 },
  'socks4+tls': { protocol: 'socks4', passesNames: false, port: 1080, tls: {} },
  'socks4a+tls': { protocol: 'socks4a', passesNames: true, port: 1080, tls: {} },
  'socks5+tls': { protocol: 'socks5', passesNames: false, port: 1080, tls: {} },
  'socks5h+tls': { protocol: 'socks5', passesNames: true, port: 1080, tls: {} },
  https: { protocol: 'http', passesNames: true, port: 443, tls: {} },
};

export const proxyUrl: Schema<ProxyUrl, string> = value({ type: 'string', examples: [EXAMPLE] }, (input) =>
  parseProxyUrl(text(input, EXAMPLE)),
);

export const upstreamRef: Schema<UpstreamRef, string> = value(
  { type: 'string', examples: [EXAMPLE, 'p1'] },
  (input) => {
    const written = text(input, `${EXAMPLE}, or the name of an upstream`);
    return written.includes(':') ? parseProxyUrl(written) : { name: written };
  },
);

/** Whether the password of a URL is written out, with nothing of it from the environment. */
export function showsPassword(written: string): boolean {
  const password = passwordIn(written);
  return password !== undefined && !password.includes('${');
}

/** Throws a ValueError for what a server with this protocol cannot be told. */
export function checkCredentials(
  protocol: ServerOptions['protocol'],
  { username, password }: Credentials,
): void {
  if (isSocks4(protocol) && password !== '')
    throw new ValueError(
      'SOCKS4 has a user id and no password',
      'write the id alone: socks4a://ID@HOST:PORT',
    );
  if (protocol === 'http' && username.includes(':'))
    throw new ValueError('HTTP cannot carry a user name with a colon', 'take another name');
  for (const [what, said] of [
    ['user name', username],
    ['password', password],
  ] as const) {
    if (Buffer.byteLength(said) > 255)
      throw new ValueError(`the ${what} is longer than 255 bytes`, 'write a shorter one');
  }
}

/** No message quotes the URL: there may be a password in it. */
function parseProxyUrl(written: string): ProxyUrl {
  const [, name = '', rest = ''] = /^\s*([a-z\d+]+)(:.*)$/is.exec(written) ?? [];
  const scheme = name.toLowerCase();
  // Of http a URL leaves out the usual port, and takes numbers for addresses.
  const url = URL.parse(`proxy${rest}`);
  const kind = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  const isCut = /^:\/\/[^/?#]*[/?#].*@/s.test(rest);
  if (url === null || kind === undefined || url.hostname === '') {
    throw new ValueError(
      'this is not the URL of a proxy server',
      isCut ? ENCODE : `write ${Object.keys(SCHEMES).join(', ')}, as in ${EXAMPLE}`,
    );
  }
  const host = hostOf(url.hostname);
  const path = ['', '/'].includes(url.pathname) ? undefined : decode(url.pathname);
  if (
    url.search !== '' ||
    url.hash !== '' ||
    (path !== undefined && (host !== 'localhost' || url.port !== ''))
  )
    throw new ValueError(
      'something stands behind host and port',
      isCut ? ENCODE : `write ${EXAMPLE}, or for a unix socket socks5h://localhost/run/tor/socks`,
    );
  const port = url.port === '' ? kind.port : Number(url.port);
  if (port === 0) throw new ValueError('there is no port 0', `write ${EXAMPLE}`);
  const { protocol, passesNames, tls } = kind;
  const at = { host, port };
  const credentials = credentialsIn(url, protocol);
  return {
    label: `${scheme}://${path === undefined ? formatAddress(at) : `localhost${url.pathname}`}`,
    protocol,
    passesNames,
    at,
    ...(path !== undefined && { path: socketPath(path) }),
    ...(tls !== undefined && { tls: { ...tls } }),
    ...(credentials !== undefined && { credentials }),
  };
}

function credentialsIn(url: URL, protocol: ServerOptions['protocol']): ProxyUrl['credentials'] {
  if (url.username === '' && url.password === '') return undefined;
  const [username, password] = [url.username, url.password].map(decode) as [string, string];
  if (username === '')
    throw new ValueError('a password without a user name', 'write socks5h://NAME:PASSWORD@HOST:PORT');
  checkCredentials(protocol, { username, password });
  return { username, password };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ValueError('a % stands for itself', 'write %25');
  }
}

/** Without the brackets of IPv6; a name in ASCII. */
function hostOf(hostname: string): string {
  const bare = decode(hostname.replace(/^\[(.*)\]$/, '$1'));
  const ip = parseIp(bare);
  if (ip !== undefined) return formatIp(ip);
  const name = parseName(bare);
  if (name === undefined || isNumericName(name))
    throw new ValueError('the host is neither a name nor an address', `write ${EXAMPLE}`);
  return name;
}
