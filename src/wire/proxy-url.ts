import { formatAddress } from './address.ts';
import { formatIp, parseIp } from './ip.ts';

/** The protocol of a proxy server. */
interface Kind {
  readonly protocol: 'socks4' | 'socks4a' | 'socks5' | 'http';
  /** Whether names are sent to the server; otherwise they are resolved locally. */
  readonly passesNames: boolean;
  /** Over TLS. */
  readonly encrypted: boolean;
}

/** A proxy server described by its URL. */
export interface ProxyUrl extends Kind {
  readonly scheme: string;
  /** The URL without secrets. */
  readonly label: string;
  /** A name as written, or an address in canonical form, without brackets. */
  readonly host: string;
  readonly port: number;
  /** For a unix socket: `socks5h://localhost/run/tor/socks`. */
  readonly path?: string;
  readonly username?: string;
  /** Only with a user name. */
  readonly password?: string;
}

/**
 * What is wrong with a URL, and what to write instead. Neither quotes the URL, which may contain a password.
 */
export interface ProxyUrlFault {
  readonly fault: string;
  readonly remedy: string;
}

const CLEAR = { encrypted: false, port: 1080 } as const;
const TLS = { encrypted: true, port: 1080 } as const;

/**
 * curl's schemes, and those for SOCKS over TLS: socks4 and socks5 require addresses; socks4a, socks5h and
 * http accept names.
 */
const SCHEMES: Readonly<Record<string, Kind & { readonly port: number }>> = {
  socks4: { protocol: 'socks4', passesNames: false, ...CLEAR },
  socks4a: { protocol: 'socks4a', passesNames: true, ...CLEAR },
  socks5: { protocol: 'socks5', passesNames: false, ...CLEAR },
  socks5h: { protocol: 'socks5', passesNames: true, ...CLEAR },
  http: { protocol: 'http', passesNames: true, encrypted: false, port: 8080 },
  'socks4+tls': { protocol: 'socks4', passesNames: false, ...TLS },
  'socks4a+tls': { protocol: 'socks4a', passesNames: true, ...TLS },
  'socks5+tls': { protocol: 'socks5', passesNames: false, ...TLS },
  'socks5h+tls': { protocol: 'socks5', passesNames: true, ...TLS },
  https: { protocol: 'http', passesNames: true, encrypted: true, port: 443 },
};

export const PROXY_URL_EXAMPLE = 'socks5h://10.0.3.1:1080';
/** For a URL that apparently ends within its password. */
const ENCODE = 'write / as %2F, ? as %3F and # as %23 in a user name or password, or give the two by login';

/**
 * Parses `socks5h://user:password@host:port` and the like. The caller must check that the host is a valid
 * name.
 */
export function parseProxyUrl(written: string): ProxyUrl | ProxyUrlFault {
  const [, name = '', rest = ''] = /^\s*([a-z\d+]+)(:.*)$/is.exec(written) ?? [];
  const scheme = name.toLowerCase();
  // For http, URL would drop the default port and convert numbers to addresses.
  const url = URL.parse(`proxy${rest}`);
  const kind = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  const isCut = /^:\/\/[^/?#]*[/?#].*@/s.test(rest);
  if (url === null || kind === undefined || url.hostname === '')
    return {
      fault: 'this is not the URL of a proxy server',
      remedy: isCut ? ENCODE : `write ${Object.keys(SCHEMES).join(', ')}, as in ${PROXY_URL_EXAMPLE}`,
    };
  const [bare, path, username, password] = [
    url.hostname.replace(/^\[(.*)\]$/, '$1'),
    url.pathname.replace(/^\/$/, ''),
    url.username,
    url.password,
  ].map(decode);
  if (bare === undefined || path === undefined || username === undefined || password === undefined)
    return { fault: 'a % is not followed by a valid code', remedy: 'write %25' };
  const ip = parseIp(bare);
  const host = ip === undefined ? bare : formatIp(ip);
  if (url.search !== '' || url.hash !== '' || (path !== '' && (host !== 'localhost' || url.port !== '')))
    return {
      fault: 'there is something after host and port',
      remedy: isCut
        ? ENCODE
        : `write ${PROXY_URL_EXAMPLE}, or for a unix socket socks5h://localhost/run/tor/socks`,
    };
  const { protocol, passesNames, encrypted } = kind;
  const port = url.port === '' ? kind.port : Number(url.port);
  if (port === 0) return { fault: 'there is no port 0', remedy: `write ${PROXY_URL_EXAMPLE}` };
  if (username === '' && password !== '')
    return {
      fault: 'a password without a user name',
      remedy: 'write socks5h://NAME:PASSWORD@HOST:PORT',
    };
  return {
    scheme,
    label: `${scheme}://${path === '' ? formatAddress({ host, port }) : `localhost${url.pathname}`}`,
    protocol,
    passesNames,
    encrypted,
    host,
    port,
    ...(path !== '' && { path }),
    ...(username !== '' && { username }),
    ...(password !== '' && { password }),
  };
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
