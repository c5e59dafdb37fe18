import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { proxySettings } from '../config/load.ts';
import type { Environment } from '../config/source/environment.ts';
import { passwordIn } from '../config/source/mask.ts';
import { formatProblems } from '../config/source/problem.ts';
import { UpstreamError } from '../route/error.ts';
import { judge } from '../route/judge.ts';
import type { Basis, RoutedPermit } from '../route/judge.ts';
import type { Outbound, OutboundClient } from '../route/outbound.ts';
import { basisOf } from '../server/basis.ts';
import { destinationOf } from '../server/destination.ts';
import { Failure } from '../server/failure.ts';
import type { Settings } from '../server/settings.ts';
import type { Command, Facts } from '../policy/policy.ts';
import { addressOf, formatAddress } from '../wire/address.ts';
import { parseIp } from '../wire/ip.ts';
import { describeBadName, describeFailure, describeRefusal } from '../admin/explain/describe.ts';
import { UsageError } from '../admin/explain/question.ts';

const HELP = `Usage: garter connect [--proxy URL] [--timeout SECONDS] HOST PORT

Connects standard input and output to a host through a proxy server, for ssh and for scripts.

  --proxy URL        a proxy server: socks5h://, socks5://, socks4a://, socks4:// or http://, the same over TLS (socks5h+tls:// and so
                     on), or https://; without a password
  --timeout SECONDS  until the host is reached; 30 by default
  -h, --help         show this help

Environment variables, as for curl: without --proxy, the server is that of all_proxy or https_proxy, whose URL may contain a user name and
password. Hosts in no_proxy (names with everything below them, addresses, networks, or * for all) are reached directly. Each can be written
in upper case too.

Exit status: 0 the host closed the connection, 1 the connection failed, 2 usage error.

Example: ssh -o ProxyCommand='garter connect --proxy socks5h://10.0.3.1:1080 %h %p' HOST
`;

interface Io {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Environment;
}

export async function connect(args: readonly string[], io: Io): Promise<number> {
  try {
    const options = readOptions(args, io.env);
    if (options === undefined) {
      io.stdout.write(HELP);
      return 0;
    }
    const { settings, errors } = proxySettings(options);
    if (settings === undefined) {
      io.stderr.write(formatProblems(errors, 'error'));
      return 2;
    }
    return await run(settings, options, io);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr.write(`garter connect: ${error.message}; see garter connect --help\n`);
    return 2;
  }
}

interface Options {
  /** The URL of the proxy server, and the flag or variable that contains it. */
  readonly proxy: string;
  readonly from: string;
  /** Destinations that are reached directly, as in a route. */
  readonly direct: readonly string[];
  /** Milliseconds. */
  readonly timeout: number;
  readonly host: string;
  readonly port: number;
}

/** `undefined` when help is requested. */
function readOptions(args: readonly string[], environment: Environment): Options | undefined {
  const { values, positionals } = parse(args);
  if (values.help === true) return undefined;
  const [host, port, ...more] = positionals;
  if (host === undefined || port === undefined || more.length > 0) throw new UsageError('give HOST and PORT');
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535)
    throw new UsageError('PORT is a number from 1 to 65535');
  const { timeout = '30' } = values;
  if (!/^\d{1,5}$/.test(timeout) || Number(timeout) === 0)
    throw new UsageError('--timeout is a number of seconds, at least 1');
  const found = values.proxy === undefined ? proxyIn(environment) : (['--proxy', values.proxy] as const);
  if (values.proxy !== undefined && passwordIn(values.proxy) !== undefined)
    throw new UsageError(
      'everyone on this machine can read a password on the command line; give the URL in the variable ALL_PROXY',
    );
  if (found === undefined)
    throw new UsageError('give the proxy server: --proxy socks5h://HOST:PORT, or the variable ALL_PROXY');
  const [from, proxy] = found;
  const direct = values.proxy === undefined ? exempt(valueOf('no_proxy', environment)?.[1] ?? '') : [];
  return { proxy, from, direct, timeout: Number(timeout) * 1000, host, port: Number(port) };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        proxy: { type: 'string' },
        timeout: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** curl asks for the lower case first. */
function valueOf(name: string, environment: Environment): readonly [string, string] | undefined {
  for (const variable of [name, name.toUpperCase()]) {
    const found = environment[variable];
    if (found !== undefined && found !== '') return [variable, found];
  }
  return undefined;
}

function proxyIn(environment: Environment): readonly [string, string] | undefined {
  const found = valueOf('all_proxy', environment) ?? valueOf('https_proxy', environment);
  if (found === undefined) return undefined;
  const [variable, url] = found;
  // curl takes a URL without a scheme for one of HTTP.
  return [variable, url.includes('://') ? url : `http://${url}`];
}

/** The entries of NO_PROXY as destinations of a route. */
function exempt(list: string): readonly string[] {
  const entries = list.split(/[\s,]+/).filter((entry) => entry !== '');
  if (entries.includes('*')) return ['any'];
  return entries.map((entry) => {
    const [address] = entry.split('/');
    if (parseIp(address!.replace(/^\[|\]$/g, '')) !== undefined) return entry.replace(/^\[|\]$/g, '');
    return `.${entry.replace(/^\*?\.+/, '')}`;
  });
}

async function run(settings: Settings, { host, port, timeout }: Options, io: Io): Promise<number> {
  const stop = new AbortController();
  const basis = await basisOf(settings);
  using outbound = basis.outbound;
  try {
    const routed = await permit(basis, host, port);
    const deadline = performance.now() + timeout;
    const { connection } = await outbound.connect(routed, { ...HERE, signal: stop.signal }, deadline);
    const stream = connection.detach();
    io.stdin.pipe(stream);
    await pipeline(stream, io.stdout, { end: false });
    return 0;
  } catch (error) {
    io.stderr.write(`garter connect: ${formatAddress({ host, port })}: ${reasonOf(error, host)}\n`);
    return 1;
  }
}

/** The settings allow everything; the judge chooses the route, and has the name resolved if necessary. */
async function permit(
  basis: Basis & { outbound: Outbound },
  host: string,
  port: number,
): Promise<RoutedPermit> {
  const judging = judge(basis, { facts }, 'connect', destinationOf(addressOf(host, port)));
  let step = judging.next();
  while (step.done !== true)
    step = judging.next(await basis.outbound.lookUp(step.value.name, step.value.route));
  const verdict = step.value;
  if (verdict.type === 'allow') return verdict;
  throw new Error(describeRefusal(verdict, { method: 'none', command: 'connect' }));
}

const LOOPBACK = parseIp('127.0.0.1')!;

function facts(command: Command): Facts {
  return {
    client: LOOPBACK,
    listener: '',
    sourcePort: 0,
    protocol: 'socks5',
    method: 'none',
    groups: [],
    command,
    time: Date.now(),
  };
}

/** This process, as a client. */
const HERE: Omit<OutboundClient, 'signal'> = {
  ip: LOOPBACK,
  local: { host: '127.0.0.1', port: 0 },
  remote: { host: '127.0.0.1', port: 0 },
  asker: () => [],
  credentials: undefined,
  goesBy: () => {},
};

function reasonOf(error: unknown, host: string): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof Failure) return describeBadName(host, error.detail);
  if (error instanceof UpstreamError && error.trouble === 'reply')
    return `${error.message.split(': ')[0]!}: ${describeFailure(error.reply)}`;
  return error.message;
}
