import type { Endpoint } from '../../wire/address.ts';
import type { Command, Method, Protocol } from '../../policy/policy.ts';
import { ipOf, parseIp } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';

/** A hypothetical request, as given to `garter check`. */
export interface Question {
  readonly client: { readonly ip: Ip; readonly port: number };
  readonly destination: Endpoint;
  readonly command: Command;
  readonly protocol: Protocol;
  readonly user: string | undefined;
  /** The methods that the client offers. */
  readonly methods: readonly Method[];
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** The listener's name, or its address as displayed; `undefined` = the first one. */
  readonly listener: string | undefined;
  /** The assumed addresses of the name; if empty, it is resolved. */
  readonly addresses: readonly Ip[];
}

/** The options that describe a question. */
export const QUESTION_OPTIONS = {
  from: { type: 'string' },
  to: { type: 'string' },
  user: { type: 'string' },
  command: { type: 'string' },
  method: { type: 'string' },
  protocol: { type: 'string' },
  listener: { type: 'string' },
  address: { type: 'string', multiple: true },
  at: { type: 'string' },
} as const;

export type QuestionOptions = {
  readonly [K in keyof typeof QUESTION_OPTIONS]?: K extends 'address' ? string[] : string;
};

/** An error in the command line; the message says what to write. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const COMMANDS: readonly Command[] = ['connect', 'bind', 'udp', 'resolve'];
const METHODS: readonly Method[] = ['password', 'certificate', 'none'];
const PROTOCOLS: readonly Protocol[] = ['socks5', 'socks4', 'http'];

/** A typical client port, without significance. */
const EPHEMERAL = 49_152;

/** The question described by the options, at time `now` unless they give one. Throws a UsageError. */
export function readQuestion(options: QuestionOptions, now: number): Question {
  const { from, to, user, at, listener, address = [] } = options;
  if (from === undefined || to === undefined)
    throw new UsageError('give both --from ADDRESS and --to HOST:PORT');
  const command = oneOf('--command', options.command ?? 'connect', COMMANDS);
  const protocol = oneOf('--protocol', options.protocol ?? 'socks5', PROTOCOLS);
  if (protocol === 'socks4' && command === 'udp') throw new UsageError('SOCKS4 has no UDP');
  if (protocol === 'http' && command !== 'connect') throw new UsageError('HTTP has CONNECT only');
  return {
    client: readClient(from),
    destination: readDestination(to, command),
    command,
    protocol,
    user,
    methods: readMethods(options.method, user, protocol),
    time: at === undefined ? now : readTime(at),
    listener,
    addresses: address.map(
      (text) => parseIp(text) ?? fail(`--address ${text}: write an address such as 192.0.2.1`),
    ),
  };
}

function readClient(text: string): Question['client'] {
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const ip = ipOf(bracketed ?? plain ?? text);
  if (ip === undefined || Number(port ?? 0) > 65_535)
    throw new UsageError(`--from ${text}: write an address such as 10.0.0.5, or 10.0.0.5:40000`);
  return { ip, port: Number(port ?? EPHEMERAL) };
}

function readDestination(text: string, command: Command): Endpoint {
  // RESOLVE needs no port.
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (!host || (port === undefined && command !== 'resolve') || Number(port ?? 0) > 65_535) {
    throw new UsageError(
      `--to ${text}: write a name or an address and a port, such as www.example.com:443 or [2001:db8::1]:443`,
    );
  }
  return { host, port: Number(port ?? 0) };
}

function readMethods(
  method: string | undefined,
  user: string | undefined,
  protocol: Protocol,
): readonly Method[] {
  const offered = method === undefined ? undefined : oneOf('--method', method, METHODS);
  if (protocol === 'socks4' && (offered === 'password' || (user !== undefined && offered === undefined)))
    throw new UsageError('SOCKS4 has no passwords: remove --user, or write --method certificate');
  if (user === undefined && offered !== undefined && offered !== 'none')
    throw new UsageError(`--method ${offered} needs --user NAME`);
  if (user !== undefined && offered === 'none')
    throw new UsageError('--method none does not go with --user: the name would not be authenticated');
  // A client that has presented a certificate needs nothing else.
  if (offered === 'certificate') return ['certificate', 'none'];
  if (offered !== undefined) return [offered];
  return user === undefined ? ['none'] : ['certificate', 'password', 'none'];
}

/** ISO 8601; without a zone, in local time. */
function readTime(text: string): number {
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(time))
    throw new UsageError(`--at ${text}: write a time such as 2026-11-21T10:00, or 2026-11-21T10:00Z`);
  return time;
}

function oneOf<T extends string>(option: string, text: string, words: readonly T[]): T {
  return words.find((word) => word === text) ?? fail(`${option} ${text}: write one of ${words.join(', ')}`);
}

function fail(message: string): never {
  throw new UsageError(message);
}
