import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Candidate } from './candidates.ts';

/**
 * One to three garters of a checkout in sequence, each of which forwards everything to the next; with plain
 * links, and with TLS.
 */
export function chains(path: string, extra: readonly string[]): readonly Candidate[] {
  return [
    chain('hops-1', 1, false, path, extra),
    ...[2, 3].flatMap((hops) => [
      chain(`hops-${hops}`, hops, false, path, extra),
      chain(`hops-${hops}-tls`, hops, true, path, extra),
    ]),
  ];
}

function chain(
  name: string,
  hops: number,
  encrypted: boolean,
  path: string,
  extra: readonly string[],
): Candidate {
  const program = resolve(path, 'bin/garter');
  return {
    name,
    command: (port, scratch) => {
      const link = encrypted ? makeCertificate(scratch) : undefined;
      const files = Array.from({ length: hops }, (_, i) => {
        const file = join(scratch, `${name}-${i + 1}.yaml`);
        writeFileSync(file, configuration(i + 1, i + 1 < hops, port, link));
        return file;
      });
      return ['sh', '-c', START, 'sh', program, extra.join(' '), ...files.toReversed()];
    },
    idle: { from: 1000, to: 9000 },
    hasUdp: !encrypted,
    path,
  };
}

/**
 * Starts the farthest first, each one after the one behind it is listening; the load generator connects to
 * the last one started.
 */
const START = `
program=$1; extra=$2; shift 2
while [ $# -gt 1 ]; do
  : >"$1.log"
  "$program" serve --config "$1" $extra >"$1.log" 2>&1 &
  until grep -q listening "$1.log"; do sleep 0.05; done
  shift
done
exec "$program" serve --config "$1" $extra`;

interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** The hops are at 127.0.0.1, 127.0.0.2 and so on; all links between them are of the same kind. */
function configuration(
  hop: number,
  leadsOn: boolean,
  port: number,
  link: CertificateFiles | undefined,
): string {
  const shown = link !== undefined && hop > 1 ? `, tls: { cert: ${link.cert}, key: ${link.key} }` : '';
  const scheme = link === undefined ? 'socks5h' : 'socks5h+tls';
  const trusted = link === undefined ? '' : `, tls: { ca: ${link.cert} }`;
  const next = [
    'routes: [{ to: [any], via: next }]',
    `upstreams: { next: { url: "${scheme}://127.0.0.${hop + 1}:${port}"${trusted} } }`,
  ];
  return [`listen: [{ address: "127.0.0.${hop}:${port}"${shown} }]`, ...(leadsOn ? next : []), ''].join('\n');
}

function makeCertificate(scratch: string): CertificateFiles {
  const [cert, key] = [join(scratch, 'link.pem'), join(scratch, 'link.key')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', '/CN=link', '-addext', 'subjectAltName=IP:127.0.0.2,IP:127.0.0.3'];
  const files = ['-keyout', key, '-out', cert, '-days', '1'];
  const [program, ...words] = ['openssl', 'req', '-x509', ...curve, ...files, ...names] as const;
  execFileSync(program, words, { stdio: 'ignore' });
  return { cert, key };
}
