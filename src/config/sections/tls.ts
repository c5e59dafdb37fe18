import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { dateFault } from '../../tls/certificate.ts';
import type { LinkOptions } from '../../route/options.ts';
import { codeOf } from '../../wire/error-code.ts';
import type { TlsSettings } from '../../server/settings.ts';
import type { Files } from '../source/files.ts';
import type { Path, Reports } from '../source/problem.ts';
import { readSecret } from '../source/secret.ts';
import type { LinkSection, TlsSection } from '../schema/tls.ts';
import { ValueError } from '../source/value-error.ts';

/** Bytes that Node requires for ticket keys. */
const TICKET_KEYS = 48;

/**
 * `tls` of a listener, with the content of its files; `undefined` when something is wrong, which is reported.
 */
export function completeTls(
  section: TlsSection,
  path: Path,
  files: Files,
  reports: Reports,
): TlsSettings | undefined {
  const pems = new PemFiles(path, files, reports);
  const own = pems.pair(section.cert, section.key);
  const clientCa = pems.authorities('client-ca', section['client-ca']);
  if (own === undefined || pems.failed) return undefined;
  if (new X509Certificate(own.cert).subjectAltName === undefined)
    reports.warning(
      [...path, 'cert'],
      `the certificate in ${section.cert} has no subjectAltName, and clients ignore the common name: they refuse it`,
      'have it reissued with its names: openssl req … -addext "subjectAltName=DNS:proxy.example.org"',
    );
  return {
    ...own,
    ...(clientCa !== undefined && { clientCa }),
    ticketKeys: randomBytes(TICKET_KEYS),
  };
}

/** The same for `tls` of an upstream. */
export function completeLink(
  { name, ca, cert, key, pin }: LinkSection,
  path: Path,
  files: Files,
  reports: Reports,
): LinkOptions | undefined {
  const pems = new PemFiles(path, files, reports);
  const authorities = pems.authorities('ca', ca);
  const own = cert !== undefined && key !== undefined ? pems.pair(cert, key) : undefined;
  if ((cert === undefined) !== (key === undefined)) {
    const [has, lacks] = cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
    reports.error([...path, has], `${has} without ${lacks}`, `add ${lacks}, or remove ${has}`, 'key');
    return undefined;
  }
  if (pems.failed) return undefined;
  return {
    ...(name !== undefined && { name }),
    ...(authorities !== undefined && { ca: authorities }),
    ...own,
    ...(pin !== undefined && { pins: pin }),
  };
}

/** The files named in one section. */
class PemFiles {
  failed = false;
  readonly #path: Path;
  readonly #files: Files;
  readonly #reports: Reports;

  constructor(path: Path, files: Files, reports: Reports) {
    this.#path = path;
    this.#files = files;
    this.#reports = reports;
  }

  /** Reads a certificate and its key. */
  pair(certFile: string, keyFile: string): { readonly cert: string; readonly key: string } | undefined {
    const cert = this.#try('cert', () => readCertificates(certFile, this.#place(certFile)));
    // If this is the key, the other file is probably the certificate, which others may read.
    if (cert === undefined && holdsKey(this.#place(certFile))) return undefined;
    const key = this.#try('key', () => readKey(keyFile, this.#place(keyFile)));
    if (cert === undefined || key === undefined) return undefined;
    const certificate = cert.certificates[0]!;
    this.#warnOfDates('cert', certFile, [certificate]);
    this.#try('key', () => {
      if (!certificate.checkPrivateKey(key.key))
        throw new ValueError(`${keyFile} is not the key of ${certFile}`, 'name the one that belongs to it');
    });
    if (!this.failed) this.#try('cert', () => tryOut(certFile, cert.text, key.text));
    return { cert: cert.text, key: key.text };
  }

  authorities(name: string, file: string | undefined): string | undefined {
    const read =
      file === undefined ? undefined : this.#try(name, () => readCertificates(file, this.#place(file)));
    if (read === undefined) return undefined;
    this.#warnOfDates(name, file!, read.certificates);
    return read.text;
  }

  #warnOfDates(name: string, file: string, certificates: readonly X509Certificate[]): void {
    const [fault, ...others] = certificates.map(dateFault);
    if (fault === undefined || others.includes(undefined)) return;
    const [said, remedy] =
      fault === 'CERT_HAS_EXPIRED'
        ? ['has expired', 'renew it']
        : ['is not valid yet', 'wait, or compare the clock'];
    this.#reports.warning([...this.#path, name], `the certificate in ${file} ${said}`, remedy);
  }

  #place(file: string): string {
    return this.#files.reads(file);
  }

  #try<T>(name: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (fault) {
      if (!(fault instanceof ValueError)) throw fault;
      this.failed = true;
      this.#reports.error([...this.#path, name], fault.message, fault.remedy);
      return undefined;
    }
  }
}

const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** `file`: the name in messages. */
function readCertificates(
  file: string,
  path: string,
): {
  readonly text: string;
  readonly certificates: readonly X509Certificate[];
} {
  const remedy = 'name a PEM file, one that contains -----BEGIN CERTIFICATE-----';
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ValueError(`${file} cannot be read (${codeOf(error)})`, remedy);
  }
  const blocks = text.match(CERTIFICATE);
  if (blocks === null && PRIVATE_KEY.test(text))
    throw new ValueError(
      `${file} contains a private key, not a certificate`,
      'name it under key, and the certificate here',
    );
  if (blocks === null) throw new ValueError(`there is no certificate in ${file}`, remedy);
  try {
    return { text: blocks.join('\n'), certificates: blocks.map((block) => new X509Certificate(block)) };
  } catch (error) {
    throw new ValueError(`a certificate in ${file} is broken (${codeOf(error)})`, 'copy the file again');
  }
}

function holdsKey(path: string): boolean {
  try {
    return PRIVATE_KEY.test(readFileSync(path, 'utf8'));
  } catch {
    return false;
  }
}

function readKey(file: string, path: string): { readonly text: string; readonly key: KeyObject } {
  const text = readSecret(path, 'name a PEM file that contains PRIVATE KEY');
  if (/^-----BEGIN ENCRYPTED|^Proc-Type:.*ENCRYPTED/m.test(text))
    throw new ValueError(`the key in ${file} is encrypted`, 'decrypt it: openssl pkey -in FILE -out FILE');
  try {
    return { text, key: createPrivateKey(text) };
  } catch {
    throw new ValueError(`there is no private key in ${file}`, 'name a PEM file that contains PRIVATE KEY');
  }
}

/** OpenSSL has its own requirements, such as a minimum key size. */
function tryOut(file: string, cert: string, key: string): void {
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new ValueError(`OpenSSL does not accept ${file} (${codeOf(error)})`, 'have it reissued');
  }
}
