import { networkInterfaces } from 'node:os';
import type { Endpoint } from '../../wire/address.ts';
import { ipOf } from '../../wire/ip.ts';
import { literalAddress } from './literal-address.ts';
import { text, value } from './value.ts';
import type { Schema } from './value.ts';
import { ValueError, either, quote } from '../source/value-error.ts';

const EXAMPLE = 'write 127.0.0.1:1080, "[::1]:1080" or eth0:1080';

/**
 * A listener's address as written: `host` may be the name of an interface; `activated` is the name of sockets
 * passed by systemd.
 */
export type ListenAddress = Endpoint | { readonly path: string } | { readonly activated: string };

/** A literal address, an interface (which may have several), `unix:/path`, or `systemd:NAME`. */
export const listenAddress: Schema<ListenAddress, string> = value(
  {
    type: 'string',
    examples: [
      '127.0.0.1:1080',
      '[::1]:1080',
      '[fe80::1%eth0]:1080',
      'eth0:1080',
      'unix:/run/garter/socks',
      'systemd',
    ],
  },
  (input) => {
    const written = text(input, '127.0.0.1:1080, "[::1]:1080" or eth0:1080');
    if (written.startsWith('unix:')) return { path: socketPath(written.slice('unix:'.length)) };
    const [, activated] = /^systemd(?::(.+))?$/.exec(written) ?? [written, undefined];
    if (written === 'systemd' || activated !== undefined) return { activated: activated ?? '' };
    return parseEndpoint(written, EXAMPLE);
  },
);

/** The address of the health endpoints /healthz and /readyz. */
export const healthAddress: Schema<Endpoint, string> = value(
  { type: 'string', examples: ['127.0.0.1:9080'] },
  (input) => {
    const example = 'write an address with a port, such as 127.0.0.1:9080';
    const endpoint = parseEndpoint(text(input, '127.0.0.1:9080'), example);
    const host = literalAddress(endpoint.host);
    if (host === undefined) throw new ValueError(`${quote(endpoint.host)} is not an address`, example);
    return { host, port: endpoint.port };
  },
);

/** The path of the control socket; `false` = none. */
export const controlSocket: Schema<string | false, string | false> = value(
  { anyOf: [{ type: 'string', examples: ['unix:/run/garter/control.sock'] }, { enum: [false] }] },
  (input) => {
    // `off` is text in YAML 1.2.
    if (input === false || input === 'false' || input === 'off') return false;
    const example = 'unix:/run/garter/control.sock';
    const written = text(input, `${example}, or off`);
    if (written.startsWith('unix:')) return socketPath(written.slice('unix:'.length));
    throw new ValueError(`${quote(written)} is not a unix socket`, `write ${example}, or off`);
  },
);

/**
 * The literal addresses to listen on for a host. Throws a ValueError for a host that is not on this machine.
 */
export function addressesOf(host: string): string[] {
  const literal = literalAddress(host);
  if (literal !== undefined) return [literal];
  const interfaces = networkInterfaces();
  const all = Object.values(interfaces).flatMap((list) => list ?? []);
  if (host.toLowerCase() === 'localhost') {
    return ['127.0.0.1', '::1'].filter(
      (address) => address === '127.0.0.1' || all.some((one) => one.address === address),
    );
  }
  // Link-local addresses must be given explicitly, with their zone.
  const addresses = (interfaces[host] ?? [])
    .filter(({ address }) => !address.startsWith('fe80:'))
    .map(({ address }) => address);
  if (addresses.length > 0) return addresses;
  throw new ValueError(
    `${quote(host)} is neither an address nor an interface of this machine that has one`,
    `write an address, or one of its interfaces: ${either(Object.keys(interfaces))}`,
  );
}

/** The limit of sun_path (unix(7)), without its NUL. */
const PATH_LIMIT = 107;

/** Checks the path of a unix socket. */
export function socketPath(path: string): string {
  if (path === '' || path.includes('\0'))
    throw new ValueError('the path is missing', 'write unix:/run/garter/socks');
  if (Buffer.byteLength(path) > PATH_LIMIT)
    throw new ValueError(
      `the path of a unix socket can have at most ${PATH_LIMIT} bytes`,
      'write a shorter one',
    );
  return path;
}

export function parseEndpoint(written: string, example: string): Endpoint {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(written) ?? [];
  const host = bracketed ?? plain;
  if ([written.replace(/:\d+$/, ''), written].some((one) => ipOf(one)?.family === 6)) {
    throw new ValueError(
      `${quote(written)} is ambiguous`,
      'write the IPv6 address in brackets: "[::1]:1080"',
    );
  }
  if (host === '' || host === '*') {
    throw new ValueError(
      `${quote(written)} has no address`,
      `write 0.0.0.0:${digits}, or "[::]:${digits}" for IPv6 too`,
    );
  }
  if (host === undefined) throw new ValueError(`${quote(written)} is not an address with a port`, example);
  if (bracketed !== undefined && ipOf(bracketed)?.family !== 6) {
    throw new ValueError(`${quote(bracketed)} is not an IPv6 address`, example);
  }
  const port = Number(digits);
  if (port > 65_535)
    throw new ValueError(`there is no port ${digits}`, 'write one up to 65535; 0 takes any free one');
  return { host, port };
}
