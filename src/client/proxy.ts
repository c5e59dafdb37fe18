/** A SOCKS server and how to use it. */
export interface Proxy {
  /** curl's schemes: socks4 and socks5 resolve names here, socks4a and socks5h leave that to the server. */
  readonly scheme: ProxyScheme;
  readonly host: string;
  /** @default 1080 */
  readonly port: number;
  /** SOCKS5: user name and password; SOCKS4 and SOCKS4A: the name is the user id. */
  readonly username?: string;
  readonly password?: string;
}

export type ProxyScheme = 'socks4' | 'socks4a' | 'socks5' | 'socks5h';

const SCHEMES: readonly string[] = ['socks4', 'socks4a', 'socks5', 'socks5h'] satisfies ProxyScheme[];

/** Reads `socks5h://user:password@host:port`. Throws a RangeError, which does not repeat the URL: there may be a password in it. */
export function parseProxy(text: string): Proxy {
  const url = URL.parse(text);
  const scheme = url?.protocol.slice(0, -1);
  if (url === null || scheme === undefined || !isScheme(scheme)) {
    throw new RangeError(`a proxy is written ${SCHEMES.join('|')}://[user:password@]host[:port]`);
  }
  if (url.hostname === '') throw new RangeError('the proxy has no host');
  if (url.search !== '' || url.hash !== '' || !['', '/'].includes(url.pathname)) {
    throw new RangeError('the proxy has something behind its host and port');
  }
  return {
    scheme,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 1080 : Number(url.port),
    ...(url.username !== '' && { username: decode(url.username) }),
    ...(url.password !== '' && { password: decode(url.password) }),
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RangeError('a % in a user name or password is written %25');
  }
}

function isScheme(scheme: string): scheme is ProxyScheme {
  return SCHEMES.includes(scheme);
}
