import type { ListenerTlsConfig } from '../input/listeners.ts';
import type { LinkConfig } from '../input/routes.ts';
import { parseName } from '../../policy/names.ts';
import { formatIp, parseIp } from '../../wire/ip.ts';
import * as leaf from './scalars.ts';
import { keys, list, optional, text, value } from './value.ts';
import type { Schema } from './value.ts';
import { ValueError, quote } from '../source/value-error.ts';

/** `tls` of a listener: paths of files. */
export interface TlsSection {
  readonly cert: string;
  readonly key: string;
  readonly 'client-ca'?: string;
}

/** `tls` of an upstream: paths of files, except for name and pins. */
export interface LinkSection {
  readonly name?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly pin?: readonly string[];
}

const PIN = 'sha256/';

/** SHA-256 in base64, 44 characters, without its prefix. */
const pin: Schema<string, string> = value(
  { type: 'string', pattern: '^sha256/[A-Za-z0-9+/]{43}=$' },
  (input) => {
    const written = text(input, 'pin: "sha256/" and 44 characters of base64');
    if (/^sha256\/[A-Za-z0-9+/]{43}=$/.test(written)) return written.slice(PIN.length);
    throw new ValueError(
      `${quote(written)} is not the pin of a key`,
      'write "sha256/" and the SHA-256 of its SubjectPublicKeyInfo in base64; docs/tls.md shows how to get it',
    );
  },
);

const host: Schema<string, string> = value({ type: 'string', examples: ['proxy.example.org'] }, (input) => {
  const written = text(input, 'the name of a host, or its address');
  const ip = parseIp(written);
  const found = ip === undefined ? parseName(written) : formatIp(ip);
  if (found !== undefined) return found;
  throw new ValueError(`${quote(written)} is not the name of a host`, 'write one such as proxy.example.org');
});

export const listenerTls: Schema<TlsSection, ListenerTlsConfig> = keys<TlsSection, ListenerTlsConfig>(
  '{ cert: server.pem, key: server.key }',
  {
    cert: leaf.path.describe('The certificate, followed by any intermediate CAs, as PEM.'),
    key: leaf.path.describe('The private key, as PEM; no one else may be able to read the file.'),
    'client-ca': optional(
      leaf.path,
      'The CAs that issue client certificates, as PEM. Then methods defaults to [certificate].',
    ),
  },
);

export const linkTls: Schema<LinkSection, LinkConfig> = keys<LinkSection, LinkConfig>(
  '{ name: proxy.example.org, ca: ca.pem }',
  {
    name: optional(host, 'The name in the certificate. Default: the host in the URL.'),
    ca: optional(leaf.path, "The CAs that may have issued it, as PEM. Default: the system's."),
    cert: optional(leaf.path, 'The certificate shown to a server that asks for one, as PEM.'),
    key: optional(leaf.path, 'The private key, as PEM; no one else may be able to read the file.'),
    pin: optional(
      list(pin),
      "SHA-256 of the server's public key, or a list of which one must match. Then no CA is checked unless ca is set.",
    ),
  },
);
