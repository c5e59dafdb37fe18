import type { ListenerConfig, ProxyProtocolConfig, UdpConfig } from '../input/listeners.ts';
import type { AcceptConfig, RuleConfig, RuleLimitsConfig, WhenConfig } from '../input/rules.ts';
import type {
  ConnectionLimitsConfig,
  FileConfig,
  LogConfig,
  ResolveConfig,
  TimeoutsConfig,
  UsersConfig,
} from '../input/server-config.ts';
import type { CommandWord } from '../input/values.ts';
import type { Level, LogSettings } from '../../audit/log.ts';
import type { EngineName } from '../../net/choose.ts';
import type { Endpoint } from '../../wire/address.ts';
import type { LogKind, Method, PortRange, Protocol, Rate } from '../../policy/policy.ts';
import type { Family } from '../../resolve/resolver.ts';
import type { NameServer } from '../../resolve/system.ts';
import type { EarlyDrop, ResolveOrder, Settings } from '../../server/settings.ts';
import * as leaf from './scalars.ts';
import { healthAddress, listenAddress } from './listen-address.ts';
import type { ListenAddress } from './listen-address.ts';
import { logPlace } from './log-place.ts';
import { nameServer } from './name-server.ts';
import { route, upstream } from './routes.ts';
import type { RouteSection, UpstreamSection } from './routes.ts';
import { listenerTls } from './tls.ts';
import type { TlsSection } from './tls.ts';
import { choice, keyed, keys, list, optional, plain, value } from './value.ts';
import type { Schema } from './value.ts';
import { ValueError, quote } from '../source/value-error.ts';

/** The sections of a configuration as they are written: values are parsed, defaults not yet in their places. */
export interface Sections {
  readonly users: Users;
  readonly upstreams: Readonly<Record<string, UpstreamSection>>;
  readonly resolve: Partial<ResolveSection>;
  readonly nat64: readonly string[];
  readonly timeouts: TimeoutsSection;
  readonly log: Partial<LogSettings>;
  readonly limits: LimitsSection;
  readonly state: string;
  readonly health: Endpoint;
  readonly pac: boolean;
  readonly 'run-as': string;
  readonly revoke: Revoke;
  readonly engine: EngineName;
  readonly workers: Settings['workers'];
}

/** The sections that are lists, by what is in them. */
export interface Lists {
  readonly listen: ListenerSection;
  readonly accept: AcceptSection;
  readonly rules: RuleSection;
  readonly routes: RouteSection;
}

export interface Users {
  readonly file?: string;
  readonly name?: string;
  readonly password?: string | { readonly file: string };
}

export interface LimitsSection {
  readonly connections?: number;
  readonly 'per-address'?: number;
  readonly unauthenticated?: EarlyDrop;
  readonly memory?: number;
}

export interface ListenerSection {
  readonly address: ListenAddress;
  readonly mode?: number;
  readonly interface?: string;
  readonly 'proxy-protocol'?: ProxyProtocolSection;
  readonly protocols?: readonly Protocol[];
  readonly methods?: readonly Method[];
  readonly tls?: TlsSection;
  readonly udp?: UdpSection;
  readonly resolve?: ResolveOrder;
}

interface ProxyProtocolSection {
  readonly from: readonly string[];
}

export interface UdpSection {
  readonly ports?: PortRange;
  readonly advertise?: Readonly<Record<string, string>>;
  readonly replies?: 'peers' | 'any';
  readonly 'declared-port'?: 'require' | 'hint';
}

export interface AcceptSection {
  readonly name?: string;
  readonly allow: boolean;
  readonly from?: readonly string[];
  readonly methods?: readonly Method[];
}

/** Exactly one of `allow` and `deny`; the schema cannot say so. */
export interface RuleSection {
  readonly name?: string;
  readonly allow?: readonly CommandWord[];
  readonly deny?: readonly CommandWord[];
  readonly from?: readonly string[];
  readonly user?: readonly string[];
  readonly to: readonly string[];
  readonly port?: readonly PortRange[];
  readonly 'source-port'?: readonly PortRange[];
  readonly protocol?: readonly Protocol[];
  readonly method?: readonly Method[];
  readonly when?: WhenSection;
  readonly limit?: RuleLimitsSection;
  readonly log?: readonly LogKind[];
  readonly revoke?: Revoke;
}

interface WhenSection {
  readonly days?: readonly (readonly number[])[];
  readonly hours?: { readonly start: number; readonly end: number };
  readonly zone?: string;
}

interface RuleLimitsSection {
  readonly sessions?: number;
  readonly 'sessions-per-user'?: number;
  readonly 'sessions-per-address'?: number;
  readonly rate?: Rate;
  readonly 'rate-per-address'?: Rate;
  readonly bandwidth?: number;
  readonly 'bandwidth-per-session'?: number;
  readonly 'quota-per-user'?: number;
  readonly duration?: number;
  readonly idle?: number;
}

export type Revoke = 'close' | 'keep';

interface ResolveSection {
  readonly servers: readonly NameServer[];
  readonly family: Family;
  readonly timeout: number;
}

export type TimeoutsSection = Partial<
  Record<'handshake' | 'connect' | 'bind' | 'idle' | 'half-close' | 'udp-idle' | 'drain', number>
>;

const protocol = choice<Protocol>(['socks5', 'socks4', 'http'], ['socks6']);
const method = choice<Method>(['password', 'certificate', 'none']);
const revoke = choice<Revoke>(['close', 'keep']);

const listener = keys<ListenerSection, ListenerConfig>('{ address: 127.0.0.1:1080 }', {
  address: listenAddress.describe(
    'host:port, "[v6]:port" or interface:port, for each address of the interface; unix:/path; systemd or systemd:NAME ' +
      'for the sockets that systemd passes. Port 0 takes any free one.',
  ),
  mode: optional(leaf.mode, 'Of a unix socket: who may connect. Default: 0660.'),
  interface: optional(
    leaf.interfaceName,
    'Only connections that arrive on this network interface are let in. Needs the fast engine.',
  ),
  protocols: optional(list(protocol), 'Told apart by the first byte. Default: [socks5, socks4].'),
  methods: optional(
    list(method),
    'Authentication methods by preference. Default: [certificate] with client-ca, [password] when there are users, else [none].',
  ),
  tls: optional(listenerTls, 'TLS 1.3 before anything else.'),
  'proxy-protocol': optional(
    keys<ProxyProtocolSection, ProxyProtocolConfig>('{ from: [10.0.0.2] }', {
      from: list(leaf.fromCondition, { example: 'from: [ … ] with the addresses of the balancers' }).describe(
        'The balancers: CIDRs, addresses and sets.',
      ),
    }),
    'The PROXY protocol, versions 1 and 2: these peers have to send a header, and nobody else may.',
  ),
  udp: optional(
    keys<UdpSection, UdpConfig>('{ ports: 40000-40999 }', {
      ports: optional(leaf.ports, 'Ports for the datagrams of clients. Default: any free one.'),
      advertise: optional(
        keyed(leaf.network, leaf.literal, '{ "198.51.100.0/24": 203.0.113.10 }'),
        'The address to tell clients, by client network. Default: the one that the TCP connection reached.',
      ),
      replies: optional(
        choice(['peers', 'any']),
        'Whose datagrams come back: only from an address and port already sent to (peers, the default), or from anyone.',
      ),
      'declared-port': optional(
        choice(['require', 'hint']),
        'The port that a client says it will send from: it has to say one and is heard from there only (require), or NAT may change it (hint, the default).',
      ),
    }),
    'UDP ASSOCIATE.',
  ),
  resolve: optional(
    choice<ResolveOrder>(['ipv4-first', 'system']),
    'Which address of a name RESOLVE answers with: an IPv4 one where there is one (ipv4-first, the default), or the first by RFC 6724 (system).',
  ),
});

const acceptRule = keys<AcceptSection, AcceptConfig>('{ name: inside, allow: true, from: [10.0.0.0/8] }', {
  name: optional(leaf.label, 'For records and messages. Default: accept-1, accept-2, …'),
  allow: leaf.truth('allow').describe('true accepts the connection, false closes it.'),
  from: optional(list(leaf.fromCondition), 'CIDRs, addresses and sets. Default: everybody.'),
  methods: optional(list(method), "Authentication methods instead of the listener's."),
});

const rule = keys<RuleSection, RuleConfig>('{ name: web, allow: connect, to: [any], port: [80, 443] }', {
  name: optional(leaf.label, 'For records and messages. Default: rule-1, rule-2, …'),
  allow: optional(list(leaf.command), 'The commands that this rule allows.'),
  deny: optional(list(leaf.command), 'The commands that this rule refuses.'),
  from: optional(list(leaf.fromCondition), 'Clients: CIDRs, addresses and sets. Default: all.'),
  user: optional(
    list(leaf.userOrGroup),
    'Names that a password vouches for, and "@group" for groups of the users file. Default: all, anonymous ones too.',
  ),
  to: list(leaf.toCondition, { example: 'to: [any], or the destinations that are meant' }).describe(
    'Destinations: CIDR, address, name, .suffix (the name itself too), or a set: any, public, private, loopback, ' +
      'link-local, multicast, self, metadata, reserved. Of an allowing rule, any and public reach the last six only where they are named.',
  ),
  port: optional(list(leaf.ports), 'Ports of the destination. Default: all.'),
  'source-port': optional(list(leaf.ports), 'Ports that the client comes from. Default: all.'),
  protocol: optional(list(protocol), 'Default: all.'),
  method: optional(
    list(method),
    'What an allowing rule demands; a client that came by another method is refused, with no further rule.',
  ),
  when: optional(
    keys<WhenSection, WhenConfig>('{ days: mon-fri, hours: "08:00-18:00", zone: Europe/Oslo }', {
      days: optional(list(leaf.days), 'Default: every day.'),
      hours: optional(leaf.hours, 'An end before the start runs past midnight. Default: all day.'),
      zone: optional(leaf.zone, "An IANA time zone. Default: this machine's."),
    }),
    'The days and hours at which this rule applies.',
  ),
  limit: optional(
    keys<RuleLimitsSection, RuleLimitsConfig>('{ sessions: 1000, sessions-per-user: 20 }', {
      sessions: optional(leaf.count, 'Sessions at a time by this rule.'),
      'sessions-per-user': optional(leaf.count, 'Sessions at a time of each user.'),
      'sessions-per-address': optional(leaf.count, 'Sessions at a time of each client address.'),
      rate: optional(leaf.rate, 'New sessions by this rule.'),
      'rate-per-address': optional(leaf.rate, 'New sessions of each client address.'),
      bandwidth: optional(leaf.bandwidth, 'Bytes each way of all sessions by this rule.'),
      'bandwidth-per-session': optional(leaf.bandwidth, 'Bytes each way of each session.'),
      'quota-per-user': optional(
        leaf.quota,
        'Bytes of each user in a day (UTC), both ways together; kept in the file that state names.',
      ),
      duration: optional(leaf.time, 'The longest that a session may last.'),
      idle: optional(leaf.time, 'How long a session may be silent. Default: timeouts.idle.'),
    }),
    'A limit that is reached refuses; it never falls through to the next rule.',
  ),
  log: optional(
    list(choice<LogKind>(['connect', 'disconnect', 'error']), { least: 0 }),
    'What is recorded of each session. Default: [disconnect, error], one record for each; [] records nothing.',
  ),
  revoke: optional(
    revoke,
    'What happens to open sessions when the rule stops applying. Default: the top-level revoke.',
  ),
}).meta({ oneOf: [{ required: ['allow'] }, { required: ['deny'] }] });

type Given<T> = Exclude<T, undefined>;
type Entry<T> = T extends readonly (infer E)[] ? E : never;

/** The schema of an entry of each section that is a list. */
export const lists: { readonly [K in keyof Lists]: Schema<Lists[K], Entry<FileConfig[K]>> } = {
  listen: listener.describe('A listener.'),
  accept: acceptRule.describe(
    'An accept rule: before any byte is read; the first match decides, nothing matches = closed.',
  ),
  rules: rule.describe('A rule for each request: the first match decides, nothing matches = refused.'),
  routes: route.describe(
    'A way out: the first match decides, nothing matches = refused. Without routes everything goes out directly.',
  ),
};

/** The schema of every other section. */
export const sections: {
  readonly [K in Exclude<keyof FileConfig, keyof Lists>]: Schema<Sections[K], Given<FileConfig[K]>>;
} = {
  users: keys<Users, UsersConfig>('{ file: users.txt }', {
    file: optional(
      leaf.path,
      'A users file, made by `garter user add NAME --file FILE`; reloaded when it changes. Others than its owner must not be able to write it.',
    ),
    name: optional(leaf.userName, 'One user without a users file.'),
    password: optional(leaf.secret, 'Its password: "${NAME}" from the environment, or { file: path }.'),
  }).describe('Who may log in with a password.'),
  upstreams: keyed(leaf.label, upstream, '{ p1: socks5h://10.0.3.1:1080 }').describe(
    'Other proxy servers, by name, for routes to go through.',
  ),
  resolve: keys<Partial<ResolveSection>, ResolveConfig>(
    '{ servers: [10.0.0.53], family: any, timeout: 5s }',
    {
      servers: optional(
        list(nameServer),
        "Name servers, in this order: addresses, tls://ADDRESS or https://ADDRESS/PATH. Default: the system's.",
      ),
      family: optional(
        choice<Family>(['any', 'ipv4', 'ipv6']),
        'Which addresses of a name are used. Default: any.',
      ),
      timeout: optional(leaf.time, 'How long a name may take in all. Default: 5s.'),
    },
  ).describe('How names become addresses.'),
  nat64: list(leaf.nat64, { example: 'nat64: [64:ff9b::/96], or leave the key out' }).describe(
    'Prefixes by which a NAT64 of this network translates: addresses in them stand for the IPv4 address inside, also in allowing rules.',
  ),
  timeouts: keys<TimeoutsSection, TimeoutsConfig>('{ handshake: 15s, idle: 2h }', {
    handshake: optional(leaf.time, 'From the connection to its request, in all. Default: 15s.'),
    connect: optional(leaf.time, 'From the request to the destination, names included. Default: 30s.'),
    bind: optional(leaf.time, 'How long BIND waits for its connection. Default: 2m.'),
    idle: optional(leaf.time, 'Without a byte either way. Default: 2h.'),
    'half-close': optional(leaf.time, 'After one side has ended. Default: 5m.'),
    'udp-idle': optional(leaf.time, 'Without a datagram either way. Default: 3m.'),
    drain: optional(leaf.time, 'For open sessions when garter is told to end. Default: 30s.'),
  }).describe('How long to wait.'),
  log: keys<Partial<LogSettings>, LogConfig>('{ level: info, format: text, to: stderr }', {
    level: optional(choice<Level>(['error', 'warn', 'info', 'debug']), 'Default: info.'),
    format: optional(choice(['text', 'json']), 'Default: text.'),
    to: optional(
      value<LogSettings['to'], NonNullable<LogConfig['to']>>(
        {
          anyOf: [
            { enum: ['stderr'] },
            inObject('file', 'The path of a file.'),
            inObject('syslog', 'udp://ADDRESS:PORT, tcp://ADDRESS:PORT, or local.'),
          ],
        },
        logPlace,
      ),
      'stderr (the default), { file: path } or { syslog: udp://127.0.0.1:514 }, tcp://… or local.',
    ),
  }).describe('Log lines and records.'),
  limits: keys<LimitsSection, ConnectionLimitsConfig>(
    '{ connections: 10000, per-address: 500, unauthenticated: 60:30:100 }',
    {
      connections: optional(
        leaf.count,
        'Client connections at a time. Default: 10000, less where descriptors are fewer.',
      ),
      'per-address': optional(
        leaf.count,
        'Client connections at a time of each address (IPv6: /64). Default: no limit.',
      ),
      unauthenticated: optional(
        leaf.startups,
        "Connections whose request has not come yet, as OpenSSH's MaxStartups. Default: 500:30:1000.",
      ),
      memory: optional(
        leaf.size,
        'Resident memory from which on new connections are refused, destinations of UDP associations forgotten, and those ended that hold most. Default: 80 % of what the machine or container has.',
      ),
    },
  ).describe('Limits on connections, before their requests are known.'),
  state: leaf.path.describe('The file that keeps quotas across restarts.'),
  health: healthAddress.describe('host:port of an HTTP server for GET /healthz and /readyz. Default: none.'),
  pac: leaf
    .truth('pac')
    .describe('GET /proxy.pac tells browsers of this machine how to use it. Default: false.'),
  'run-as': leaf.userName.describe('The user to become after the listeners are bound, when started as root.'),
  revoke: revoke.describe(
    'What happens to open sessions when their rule stops applying: close (the default) or keep.',
  ),
  engine: choice(['auto', 'fast', 'portable']).describe('Which implementation of sockets. Default: auto.'),
  workers: value<Settings['workers'], 'auto' | number>(
    { anyOf: [{ enum: ['auto'] }, { type: 'integer', minimum: 1 }] },
    (input) => {
      if (input === 'auto') return 'auto';
      const number = /^\d{1,3}$/.test(plain(input)) ? Number(input) : 0;
      if (number > 0) return number;
      throw new ValueError(`${quote(input)} is not a number of threads`, 'write workers: auto, or a number');
    },
  ).describe('Threads of the fast engine. Default: auto, one per core.'),
};

/** A JSON Schema of an object with this one key. */
function inObject(key: string, description: string): object {
  return { type: 'object', properties: { [key]: { type: 'string', description } }, required: [key] };
}
