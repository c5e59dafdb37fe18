import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** A participant: a proxy, or `direct` for none. */
export interface Candidate {
  readonly name: string;
  /**
   * The command of a proxy on 127.0.0.1:`port` that stays in the foreground; `scratch` is a directory for its
   * files.
   */
  readonly command?: (port: number, scratch: string) => readonly string[];
  /** The two numbers of connections between which memory is compared. */
  readonly idle?: { readonly from: number; readonly to: number };
  readonly hasUdp: boolean;
  /** Its Debian package. */
  readonly package?: string;
  /** Its checkout. */
  readonly path?: string;
}

export const DIRECT: Candidate = { name: 'direct', hasUdp: true };

export const PEERS: readonly Candidate[] = [
  {
    name: 'danted',
    command: (port, scratch) => {
      const file = join(scratch, 'danted.conf');
      writeFileSync(file, dantedConfiguration(port));
      return ['danted', '-f', file, '-p', join(scratch, 'danted.pid')];
    },
    // It starts a process for every few connections.
    idle: { from: 200, to: 1000 },
    hasUdp: true,
    package: 'dante-server',
  },
  {
    name: 'microsocks',
    command: (port) => ['microsocks', '-i', '127.0.0.1', '-p', String(port)],
    idle: { from: 1000, to: 9000 },
    hasUdp: false,
    package: 'microsocks',
  },
];

/**
 * A garter described by `NAME=PATH [ARGUMENT]...`: a checkout, and arguments in addition to `serve --listen`.
 */
export function garter(description: string, extra: readonly string[]): Candidate {
  const [, name, path, rest] = /^([\w.-]+)=(\S+)(.*)$/.exec(description) ?? [];
  if (name === undefined || path === undefined || rest === undefined) {
    throw new Error(`--garter takes NAME=PATH and perhaps arguments, not ${description}`);
  }
  return {
    name,
    command: (port) => [
      resolve(path, 'bin/garter'),
      'serve',
      '--listen',
      `127.0.0.1:${port}`,
      ...words(rest),
      ...extra,
    ],
    idle: { from: 1000, to: 9000 },
    hasUdp: true,
    path: resolve(path),
  };
}

export function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

function dantedConfiguration(port: number): string {
  const root = process.getuid?.() === 0;
  return [
    'logoutput: /dev/null',
    `internal: 127.0.0.1 port = ${port}`,
    'external: 127.0.0.1',
    'clientmethod: none',
    'socksmethod: none',
    ...(root ? ['user.privileged: root', 'user.unprivileged: root'] : []),
    'client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }',
    'socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect udpassociate }',
    'socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 command: udpreply }',
    '',
  ].join('\n');
}
