import { formatAddress } from './address.ts';
import { formatIp, parseIp } from './ip.ts';

/** How a proxy server is spoken to. */
interface Kind {
  readonly protocol: 'socks4' | 'socks4a' | 'socks5' | 'http';
  /** Names go there as names; otherwise they are resolved here. */
  readonly passesNames: boolean;
  /** Over TLS. */
  readonly encrypted: boolean;
}

/** A proxy server as its URL gives it. */
export interface ProxyUrl extends Kind {
  readonly scheme: string;
  /** The URL without secrets. */
  readonly label: string;
  /** A name as it was written, or an address in its one spelling, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Of a unix socket, `socks5h://localhost/run/tor/socks`. */
  readonly path?: string;
  readonly username?: string;
  /** Only beside a user name. */
  readonly password?: string;
}

/** What is wrong with a URL, and what to write instead. Neither repeats any of it: there may be a password in it. */
export interface ProxyUrlFault {
  readonly fault: string;
  readonly remedy: string;
}

const CLEAR = { encrypted: false, port: 1080 } as const;
const TLS = { encrypted: true, port: 1080 } as const;

/** curl's schemes, and those of SOCKS over TLS: socks4 and socks5 want addresses, socks4a, socks5h and http take names. */
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
/** For a URL that ends in the middle of its password, as far as one can tell. */
const ENCODE = 'write / as %2F, ? as %3F and # as %23 in a user name or password, or give the two by login';

/** Reads `socks5h://user:password@host:port` and its like. Whether the host is a name is for its reader to say. */
export function parseProxyUrl(written: string): ProxyUrl | ProxyUrlFault {
  const [, name = '', rest = ''] = /^\s*([a-z\d+]+)(:.*)$/is.exec(written) ?? [];
  const scheme = name.toLowerCase();
  // Of http a URL leaves out the usual port, and takes numbers for addresses.
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
