import { resolve } from 'node:path';
import { nameFault, passwordFault } from '../../auth/users-file.ts';
import type { Environment } from '../source/environment.ts';
import { flagOverrides } from '../source/flags.ts';
import type { Flags } from '../source/flags.ts';
import { passwordIn } from '../source/mask.ts';
import { readSecret } from '../source/secret.ts';
import type { Override } from '../source/source.ts';
import { ValueError } from '../source/value-error.ts';

/** The flags of `garter agent`. */
export interface AgentFlags extends Flags {
  readonly upstream?: readonly string[];
  readonly discover?: string;
  readonly choose?: string;
  readonly loginFile?: string;
  readonly direct?: readonly string[];
  readonly pac?: boolean;
}

/** An invalid flag or variable. */
export class FlagError extends Error {
  override readonly name = 'FlagError';
  readonly where: string;
  readonly remedy: string;

  constructor(where: string, message: string, remedy: string) {
    super(message);
    this.where = where;
    this.remedy = remedy;
  }
}

/** Destinations that browsers never send to a proxy either. */
const ALWAYS_DIRECT: readonly string[] = ['loopback', '.localhost'];
/** The name in records of the single upstream of an agent without a file. */
const NAME = 'upstream';

/** The settings from an agent's flags and variables; `file` is its configuration. Throws a FlagError. */
export function agentOverrides(
  flags: AgentFlags,
  environment: Environment,
  file: string | undefined,
): Override[] {
  const { choose, direct = [], loginFile } = flags;
  const overrides = flagOverrides(flags, environment);
  if (flags.pac === true) overrides.push({ path: ['pac'], value: true, from: '--pac' });
  const source = sourceOf(flags, environment, file);
  if (source.from === '--config') {
    refuseBesideFile(flags);
    return overrides;
  }
  const login = loginFile === undefined ? {} : { login: readLogin(loginFile) };
  if (loginFile !== undefined) refuseUserIds(source.values);
  const upstream =
    source.from === '--upstream' || source.from === 'GARTER_UPSTREAM'
      ? { servers: source.values.map((written) => ({ url: urlIn(written, source.from), ...login })) }
      : { discover: serviceOf(source.values[0]!, loginFile !== undefined), ...login };
  overrides.push({ path: ['upstreams'], value: { [NAME]: upstream }, from: source.from });
  if (choose !== undefined)
    overrides.push({ path: ['upstreams', NAME, 'choose'], value: choose, from: '--choose' });
  const routes = [
    { name: 'direct', to: [...ALWAYS_DIRECT, ...direct], via: 'direct' },
    { name: 'rest', to: ['any'], via: NAME },
  ];
  overrides.push({ path: ['routes'], value: routes, from: direct.length > 0 ? '--direct' : source.from });
  return overrides;
}

/** Where the upstreams are given. */
interface UpstreamSource {
  readonly from: '--config' | '--upstream' | '--discover' | 'GARTER_UPSTREAM' | 'GARTER_DISCOVER';
  readonly values: readonly string[];
}

/** The only source of upstreams: on the command line, or otherwise among the variables. */
function sourceOf(flags: AgentFlags, environment: Environment, file: string | undefined): UpstreamSource {
  const { upstream = [], discover } = flags;
  const { GARTER_UPSTREAM, GARTER_DISCOVER } = environment;
  const given: UpstreamSource[] = [];
  const add = (from: UpstreamSource['from'], ...values: readonly string[]): void =>
    void given.push({ from, values });

  if (file !== undefined) add('--config', file);
  if (upstream.length > 0) add('--upstream', ...upstream.map(withoutPassword));
  if (discover !== undefined) add('--discover', discover);
  if (given.length === 0) {
    // A password may contain commas too.
    if (GARTER_UPSTREAM) add('GARTER_UPSTREAM', ...GARTER_UPSTREAM.split(/,\s*(?=[a-z\d+]+:\/\/)/));
    if (GARTER_DISCOVER) add('GARTER_DISCOVER', GARTER_DISCOVER);
  }
  const [source, other] = given;
  if (source === undefined)
    throw new FlagError(
      'garter agent',
      'there is no upstream',
      'write --upstream socks5h://proxy.example.org:1080, --discover example.org, or --config FILE',
    );
  if (other !== undefined)
    throw new FlagError(other.from, `upstreams are already given by ${source.from}`, 'remove one of the two');
  return source;
}

/** In a configuration file it could be a name instead. */
function urlIn(written: string, from: string): string {
  if (written.includes('://')) return written;
  throw new FlagError(
    from,
    'this is not the URL of a proxy server',
    'write socks5h://proxy.example.org:1080',
  );
}

function withoutPassword(url: string): string {
  if (passwordIn(url) === undefined) return url;
  throw new FlagError(
    '--upstream',
    'everyone on this machine can read a password on the command line',
    'write NAME:PASSWORD into a file for --login-file, or give the URL in GARTER_UPSTREAM',
  );
}

function refuseBesideFile({ choose, direct, loginFile }: AgentFlags): void {
  const given = { '--choose': choose, '--direct': direct, '--login-file': loginFile };
  for (const [flag, value] of Object.entries(given)) {
    if (value === undefined) continue;
    throw new FlagError(
      flag,
      'this belongs in the configuration',
      'write it there, under upstreams or routes',
    );
  }
}

function refuseUserIds(urls: readonly string[]): void {
  if (!urls.some((url) => /^\s*socks4/i.test(url))) return;
  throw new FlagError(
    '--login-file',
    'SOCKS4 has a user id but no password',
    'write the id into the URL, as in socks4a://ID@proxy.example.org:1080',
  );
}

/** NAME:PASSWORD, in a file that others cannot read. */
function readLogin(path: string): { readonly name: string; readonly password: string } {
  try {
    const [, name = '', password = ''] = /^([^:]+):(.+)$/s.exec(readSecret(resolve(path))) ?? [];
    const fault = loginFault(name, password);
    if (fault === undefined) return { name, password };
    throw new ValueError(`${path}: ${fault}`, 'write only NAME:PASSWORD into it');
  } catch (error) {
    if (error instanceof ValueError) throw new FlagError('--login-file', error.message, error.remedy);
    throw error;
  }
}

function loginFault(name: string, password: string): string | undefined {
  if (name === '') return 'it contains no login';
  if (/[\r\n]/.test(name + password)) return 'it has more than one line';
  const [ofName, ofPassword] = [nameFault(name), passwordFault(password)];
  if (ofName !== undefined) return `the name ${ofName}`;
  return ofPassword && `the password ${ofPassword}`;
}

/** The name of a domain's SRV records; a complete name is kept. With a login, only TLS servers are used. */
function serviceOf(domain: string, hasLogin: boolean): string {
  if (domain.startsWith('_')) return domain;
  return `${hasLogin ? '_socks5s' : '_socks5'}._tcp.${domain}`;
}
