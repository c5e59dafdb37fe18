import { parseProxyUrl } from '../wire/proxy-url.ts';

/** A SOCKS server and how to use it. */
export interface Proxy {
  /** curl's schemes: socks4 and socks5 resolve names here, socks4a and socks5h at the server. */
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
const USAGE = `a proxy is written ${SCHEMES.join('|')}://[user:password@]host[:port]`;

/**
 * Parses `socks5h://user:password@host:port`. Throws a RangeError that does not repeat the URL, which may
 * contain a password.
 */
export function parseProxy(text: string): Proxy {
  const url = parseProxyUrl(text);
  if ('fault' in url) throw new RangeError(`${url.fault}; ${USAGE}`);
  const { scheme, host, port, path, username, password } = url;
  if (!isScheme(scheme) || path !== undefined) throw new RangeError(USAGE);
  return {
    scheme,
    host,
    port,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  };
}

function isScheme(scheme: string): scheme is ProxyScheme {
  return SCHEMES.includes(scheme);
}
