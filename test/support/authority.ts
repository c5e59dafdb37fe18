import { createHash, X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { check } from './process.ts';

/** The files of a certificate and its key. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

export interface IssueOptions {
  /** In openssl's syntax. @default the common name is the file name */
  readonly subject?: string;
  /** subjectAltName in openssl's syntax. */
  readonly names?: string;
  /** In openssl's syntax: YYYYMMDDHHMMSSZ. */
  readonly from?: string;
  readonly until?: string;
  /** Uses the key of another certificate. */
  readonly key?: string;
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const;

/** A CA in a folder: openssl with a database. */
export class Authority {
  readonly cert: string;
  readonly #directory: string;
  readonly #name: string;

  private constructor(directory: string, name: string) {
    this.#directory = directory;
    this.#name = name;
    this.cert = join(directory, `${name}.pem`);
  }

  static async make(directory: string, name: string): Promise<Authority> {
    const authority = new Authority(directory, name);
    const file = (end: string): string => join(directory, `${name}${end}`);
    const subject = ['-subj', `/CN=${name}`, '-days', '30'];
    await check([
      'openssl',
      'req',
      '-x509',
      ...CURVE,
      '-keyout',
      file('.key'),
      '-out',
      file('.pem'),
      ...subject,
    ]);
    await writeFile(file('.txt'), '');
    await writeFile(
      file('.cnf'),
      [
        '[ca]',
        'default_ca = it',
        '[it]',
        `database = ${file('.txt')}`,
        `new_certs_dir = ${directory}`,
        'rand_serial = yes',
        'default_md = sha256',
        'unique_subject = no',
        'policy = any',
        '[any]',
        'commonName = optional',
        'organizationName = optional',
      ].join('\n'),
    );
    return authority;
  }

  async issue(name: string, options: IssueOptions = {}): Promise<Issued> {
    const { subject = `/CN=${name}`, names, from, until = '20991231235959Z', key } = options;
    const file = (end: string): string => join(this.#directory, `${name}${end}`);
    const own = key === undefined ? [...CURVE, '-keyout', file('.key')] : ['-key', key];
    await check(['openssl', 'req', '-new', ...own, '-out', file('.csr'), '-subj', subject]);
    const extensions = names === undefined ? '' : `subjectAltName = ${names}\n`;
    await writeFile(file('.ext'), `basicConstraints = CA:FALSE\n${extensions}`);
    const ca = join(this.#directory, this.#name);
    const its = ['-config', `${ca}.cnf`, '-cert', `${ca}.pem`, '-keyfile', `${ca}.key`];
    const files = ['-in', file('.csr'), '-out', file('.pem'), '-extfile', file('.ext')];
    const dates = [...(from === undefined ? [] : ['-startdate', from]), '-enddate', until];
    await check(['openssl', 'ca', '-batch', '-notext', ...its, ...files, ...dates]);
    return { cert: file('.pem'), key: key ?? file('.key') };
  }
}

/** In the form of `tls: pin`. */
export async function pinOf(cert: string): Promise<string> {
  const { publicKey } = new X509Certificate(await readFile(cert));
  const info = publicKey.export({ type: 'spki', format: 'der' });
  return `sha256/${createHash('sha256').update(info).digest('base64')}`;
}
