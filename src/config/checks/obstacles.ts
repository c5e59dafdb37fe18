import { readFileSync, statSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import type { LogPlace } from '../../audit/sinks/open.ts';
import type { Settings } from '../../server/settings.ts';
import { codeOf } from '../../wire/error-code.ts';
import { isLoopback } from '../../wire/ip.ts';
import { isListFile } from '../schema/conditions.ts';
import type { WrittenDraft } from '../schema/draft.ts';
import { literalAddress } from '../schema/literal-address.ts';
import type { Files } from '../source/files.ts';
import type { Path, Problem } from '../source/problem.ts';
import type { Source } from '../source/source.ts';
import { either, quote } from '../source/value-error.ts';
import { accountOf, mayAccess, ownAccount } from './account.ts';
import type { Account } from './account.ts';
import { hasAddress, localAddresses } from './local-address.ts';

/**
 * Something that this machine lacks now, so that garter could not run here. The machine that checks a
 * configuration may be another one than the one that runs it, so an obstacle alone prevents nothing.
 */
export interface Obstacle extends Problem {
  /** The codes of errors that a start fails with; `ERR_RUN_AS`: no such user. None for what fails later. */
  readonly codes: readonly string[];
}

/** What this machine lacks for these settings. */
export function obstaclesTo(
  draft: WrittenDraft,
  settings: Settings,
  source: Source,
  files: Files,
): Obstacle[] {
  const found: Obstacle[] = [];
  const report: ReportObstacle = (path, codes, message, remedy) =>
    void found.push({ ...source.place(path), path, codes, message: source.shown(message, path), remedy });
  const account = settings.runAs === undefined ? ownAccount() : accountOf(settings.runAs);
  if (account === undefined)
    report(
      ['run-as'],
      ['ERR_RUN_AS'],
      `this machine has no user ${quote(settings.runAs)}`,
      `useradd --system --shell /usr/sbin/nologin ${settings.runAs}, or name another user`,
    );
  for (const { path, host, port } of endpointsOf(draft)) {
    if (!hasAddress(host)) reportForeign(path, host, report);
    if (!mayListen(port) && account?.uid === process.geteuid?.()) reportPrivileged(path, port, report);
  }
  if (account === undefined) return found;
  for (const written of writtenFiles(draft, settings, source))
    checkWritten(written, written.early ? ownAccount() : account, report);
  for (const read of readFiles(draft, source, files)) checkRead(read, account, report);
  return found;
}

type ReportObstacle = (path: Path, codes: readonly string[], message: string, remedy: string) => void;

interface PlacedEndpoint {
  readonly path: Path;
  readonly host: string;
  readonly port: number;
}

/** The literal addresses that are listened on. */
function endpointsOf({ listen = [], health }: WrittenDraft): PlacedEndpoint[] {
  const listeners = listen.flatMap((section, i): PlacedEndpoint[] => {
    if (section === undefined || !('host' in section.address)) return [];
    const { host, port } = section.address;
    const literal = literalAddress(host);
    return [{ path: ['listen', i, 'address'], host: literal ?? '127.0.0.1', port }];
  });
  return health === undefined ? listeners : [...listeners, { path: ['health'], ...health }];
}

function reportForeign(path: Path, host: string, report: ReportObstacle): void {
  const others = localAddresses().filter((address) => !isLoopback(address) && !address.startsWith('fe80:'));
  const any = host.includes(':') ? '"[::]"' : '0.0.0.0';
  report(
    path,
    ['EADDRNOTAVAIL'],
    `this machine does not have the address ${host} now`,
    `write one that it has: ${either([...others.slice(0, 4), '127.0.0.1', `${any} for all of them`])}`,
  );
}

function reportPrivileged(path: Path, port: number, report: ReportObstacle): void {
  report(
    path,
    ['EACCES'],
    `the user ${ownAccount().name} cannot listen on port ${port}, which is reserved`,
    'start garter as root, with run-as; or write AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit; or use a port from 1024 on',
  );
}

const NET_BIND_SERVICE = 1n << 10n;

/** Whether this process may listen on a port: Linux reserves those below 1024. */
function mayListen(port: number): boolean {
  if (port === 0 || port >= 1024 || process.platform !== 'linux') return true;
  try {
    const first = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'));
    const [, effective = '0'] =
      /^CapEff:\s*([\da-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    return port >= first || (BigInt(`0x${effective}`) & NET_BIND_SERVICE) !== 0n;
  } catch {
    return true;
  }
}

interface WrittenFile {
  readonly path: Path;
  readonly file: string;
  /** It is replaced, not changed: what counts is its folder. */
  readonly replaced: boolean;
  /** It is written before garter switches to another user. */
  readonly early?: boolean;
  /** The folder in which systemd makes one for a service, by this directive. */
  readonly root: string;
  readonly directive: string;
}

function writtenFiles(
  { listen = [] }: WrittenDraft,
  { listeners, control, pidFile, stateFile, log: { to, errors = [] } }: Settings,
  source: Source,
): WrittenFile[] {
  const sockets = listeners.flatMap(({ address }) => ('path' in address ? [address.path] : []));
  const places = listen.flatMap((one, i) => (one && 'path' in one.address ? [['listen', i, 'address']] : []));
  const run = { replaced: true, root: '/run', directive: 'RuntimeDirectory=' };
  const state = { replaced: true, root: '/var/lib', directive: 'StateDirectory=' };
  const log = { replaced: false, root: '/var/log', directive: 'LogsDirectory=' };
  return [
    ...sockets.map((file, i) => ({ path: places[i] ?? ['listen'], file, ...run })),
    ...(control ? [{ path: ['control'], file: control, ...run }] : []),
    ...(pidFile === undefined ? [] : [{ path: ['pid-file'], file: pidFile, ...run, early: true }]),
    ...(stateFile === undefined ? [] : [{ path: ['state'], file: stateFile, ...state }]),
    ...logFiles('to', to, source).map((one) => ({ ...one, ...log })),
    ...logFiles('errors', errors, source).map((one) => ({ ...one, ...log })),
  ];
}

/** The files among the places of the log; a single place is written without a list. */
function logFiles(
  key: 'to' | 'errors',
  places: readonly LogPlace[],
  { value }: Source,
): { readonly path: Path; readonly file: string }[] {
  const { log } = value as { readonly log?: { readonly [K in typeof key]?: unknown } };
  const isList = Array.isArray(log?.[key]);
  return places.flatMap((place, i) =>
    typeof place === 'object' && 'file' in place
      ? [{ path: ['log', key, ...(isList ? [i] : []), 'file'], file: place.file }]
      : [],
  );
}

function checkWritten(
  { path, file, replaced, root, directive }: WrittenFile,
  account: Account,
  report: ReportObstacle,
): void {
  const folder = dirname(file);
  const kind = kindOf(folder);
  if (kind === 'ENOENT') {
    const inUnit = folder.startsWith(`${root}/`)
      ? `, or ${directive}${relative(root, folder)} in the systemd unit`
      : '';
    // libuv says EACCES for a socket.
    return report(
      path,
      ['ENOENT', ...(replaced ? ['EACCES'] : [])],
      `there is no folder ${folder}`,
      `mkdir -p ${folder}${inUnit}`,
    );
  }
  if (kind === 'file')
    return report(path, ['ENOTDIR'], `${folder} is not a folder`, 'name a file in a folder');
  const own = kindOf(file);
  if (own === 'folder') return report(path, ['EISDIR'], `${file} is a folder`, 'name a file in it');
  const written = own === 'file' && !replaced ? file : folder;
  if (mayAccess(account, written, 'write') === false)
    report(
      path,
      ['EACCES'],
      `the user ${account.name} cannot write ${written === file ? file : `in ${folder}`}`,
      `give it a folder of its own: install -d -o ${account.name} FOLDER`,
    );
}

interface ReadFile {
  readonly path: Path;
  readonly file: string;
  /** It is read before garter switches to another user, and then only when it reloads. */
  readonly early: boolean;
}

function readFiles(draft: WrittenDraft, source: Source, files: Files): ReadFile[] {
  const { listen = [], upstreams = {}, users } = draft;
  const found: ReadFile[] = [];
  const add = (path: Path, file: unknown, early = true): void => {
    if (typeof file === 'string') found.push({ path, file: files.path(file), early });
  };
  const addAll = (path: Path, written: object = {}, keys = ['cert', 'key', 'client-ca', 'ca']): void => {
    for (const key of keys) add([...path, key], Reflect.get(written, key));
  };
  const addLists = (path: Path, section: object = {}): void => {
    for (const [key, entries] of Object.entries(section) as [string, unknown][])
      for (const [i, entry] of Array.isArray(entries) ? entries.entries() : [])
        if (isListFile(entry)) add([...path, key, i], entry.file);
  };
  add(['users', 'file'], users?.file, false);
  if (draft['run-as'] === undefined) return found;
  if (source.file !== undefined) found.push({ path: ['run-as'], file: resolve(source.file), early: true });
  if (typeof users?.password === 'object') add(['users', 'password'], users.password.file);
  for (const [i, one] of listen.entries()) addAll(['listen', i, 'tls'], one?.tls);
  for (const [name, one] of Object.entries(upstreams)) {
    addAll(['upstreams', name, 'tls'], one.tls);
    for (const [i, { tls }] of (one.servers ?? []).entries())
      addAll(['upstreams', name, 'servers', i, 'tls'], tls);
  }
  for (const key of ['accept', 'rules', 'routes'] as const)
    for (const [i, section] of (draft[key] ?? []).entries()) addLists([key, i], section);
  return found;
}

function checkRead({ path, file, early }: ReadFile, account: Account, report: ReportObstacle): void {
  if (kindOf(file) === 'ENOENT')
    return report(
      path,
      ['ENOENT'],
      `there is no file ${file}`,
      path[0] === 'users' ? `garter user add NAME --file ${file} creates it` : 'name one that exists',
    );
  if (mayAccess(account, file, 'read') === false)
    report(
      path,
      early ? [] : ['EACCES'],
      `the user ${account.name} cannot read ${file}${early ? ': reloads will fail' : ''}`,
      `chown ${account.name} ${file}, or let its group read it`,
    );
}

function kindOf(path: string): 'file' | 'folder' | 'ENOENT' | 'unknown' {
  try {
    return statSync(path).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? 'ENOENT' : 'unknown';
  }
}
