import type {
  HealthConfig,
  LoginConfig,
  MemberConfig,
  RouteConfig,
  ServerLoginConfig,
  UpstreamConfig,
} from '../input/routes.ts';
import type { CommandWord, Secret } from '../input/values.ts';
import type { EgressOptions } from '../../net/egress.ts';
import type { PortRange } from '../../policy/policy.ts';
import type { NameServer } from '../../resolve/system.ts';
import type { Choice } from '../../route/options.ts';
import type { HostPort } from '../../wire/address.ts';
import type { ProxyHeaderVersion } from '../../wire/proxy-header.ts';
import { serviceName } from './discovery.ts';
import type { ServiceName } from './discovery.ts';
import * as condition from './conditions.ts';
import type { WithFiles } from './conditions.ts';
import * as leaf from './scalars.ts';
import { nameServer } from './name-server.ts';
import { proxyUrl, upstreamRef } from './proxy-url.ts';
import type { ServerRef, UpstreamRef } from './proxy-url.ts';
import { linkTls } from './tls.ts';
import type { LinkSection } from './tls.ts';
import { choice, keys, list, optional, standsFor } from './value.ts';
import type { Schema, Shape } from './value.ts';

export interface RouteSection {
  readonly name?: string;
  readonly to: readonly string[];
  readonly command?: readonly CommandWord[];
  readonly listener?: readonly string[];
  readonly from?: readonly string[];
  readonly user?: readonly string[];
  readonly port?: readonly PortRange[];
  readonly via: UpstreamRef;
  readonly egress?: readonly string[];
  readonly rotate?: EgressOptions['rotate'];
  readonly resolve?: 'here';
  readonly dns?: readonly NameServer[];
  readonly 'send-proxy'?: ProxyHeaderVersion;
}

/** Exactly one of `url`, `servers`, `chain` and `discover`, which the schema cannot express. */
export interface UpstreamSection extends ServerLogin {
  readonly url?: ServerRef;
  readonly servers?: readonly MemberSection[];
  readonly chain?: readonly UpstreamRef[];
  readonly choose?: Choice;
  readonly discover?: ServiceName;
  readonly health?: HealthSection;
  readonly tries?: number;
  readonly udp?: 'refuse' | 'clear';
}

export interface HealthSection {
  readonly fail?: number;
  readonly every?: number;
  readonly recover?: number;
  readonly connect?: HostPort;
}

export interface MemberSection extends ServerLogin {
  readonly url: UpstreamRef;
  readonly weight?: number;
}

interface Login {
  readonly name: string;
  readonly password: Secret;
}

interface ServerLogin {
  readonly login?: Login;
  readonly credentials?: 'client';
  readonly tls?: LinkSection;
}

/** An entry of `routes`. */
export const route: Schema<WithFiles<RouteSection>, RouteConfig> = keys<WithFiles<RouteSection>, RouteConfig>(
  '{ to: [any], via: direct }',
  {
    name: optional(leaf.label, 'For records and messages. Default: route-1, route-2, …'),
    to: list(condition.toEntry, { example: 'to: [any], or the destinations you mean' }).describe(
      'Destinations, as in rules; any means everything here.',
    ),
    command: optional(list(leaf.command), 'Default: all.'),
    listener: optional(list(condition.listenerRef), 'Listeners, by name or address. Default: all.'),
    from: optional(list(condition.fromEntry), 'Clients: CIDRs, addresses and sets. Default: all.'),
    user: optional(list(condition.userEntry), 'Names and "@group". Default: all.'),
    port: optional(list(condition.portEntry), 'Ports of the destination. Default: all.'),
    via: upstreamRef.describe('direct, the name of an upstream, or the URL of a proxy server.'),
    egress: optional(
      list(leaf.localAddress, { example: 'egress: [192.0.2.1], addresses of this machine' }),
      'Local addresses to connect from, or network interfaces to which traffic is confined (fast engine only).',
    ),
    rotate: optional(
      choice(['none', 'route', 'same-as-incoming', 'random']),
      'Which of several to use: the first (none, the default), the one that the system would choose (route), the one that the client ' +
        'connected to, or a random one.',
    ),
    resolve: optional(choice(['here']), 'Resolve names here, even if the upstream could.'),
    dns: optional(list(nameServer), "Name servers for this route. Default: resolve's."),
    'send-proxy': optional(
      choice<ProxyHeaderVersion>(['v1', 'v2']),
      "Begin TCP connections to destinations, or to the nearest upstream, with a PROXY header that has the client's address. " +
        'Datagrams and the peers of BIND get none. Default: no header.',
    ),
  },
);

const serverLogin: Shape<ServerLogin, ServerLoginConfig> = {
  login: optional(
    keys<Login, LoginConfig>('{ name: alice, password: { file: p1.password } }', {
      name: leaf.userName.describe('The user name for the server.'),
      password: leaf.secret.describe('"${NAME}" from the environment, or { file: path }.'),
    }),
    'User name and password, unless they are part of the URL.',
  ),
  credentials: optional(choice(['client']), "client: pass the client's credentials on to the server."),
  tls: optional(linkTls, 'For a server whose URL says TLS.'),
};

const member = standsFor(
  'url',
  keys<MemberSection, MemberConfig>('{ url: socks5h://10.0.3.1:1080, weight: 2 }', {
    url: upstreamRef.describe('The URL of a server, the name of an upstream, or at the end direct.'),
    weight: optional(leaf.count, 'Its share relative to the others. Default: 1.'),
    ...serverLogin,
  }),
);

/** An entry of `upstreams`. */
export const upstream: Schema<UpstreamSection, string | UpstreamConfig> = standsFor(
  'url',
  keys<UpstreamSection, UpstreamConfig>('socks5h://10.0.3.1:1080, or { servers: [ … ] }', {
    url: optional(
      proxyUrl,
      'A proxy server: socks4, socks4a, socks5, socks5h or http; over TLS with +tls, and https.',
    ),
    servers: optional(
      list(member),
      'A group: servers, chains and other groups, one of which is used; direct at the end: when none can be.',
    ),
    chain: optional(list(upstreamRef), 'A chain of servers, nearest first.'),
    discover: optional(
      serviceName,
      'A group whose servers are listed in SRV records: the name of these records.',
    ),
    choose: optional(
      choice<Choice>(['order', 'random', 'round-robin', 'least-sessions', 'source-hash']),
      'Which server of a group is tried first. Default: order, the first that works; for discovered servers, random.',
    ),
    health: optional(
      keys<HealthSection, HealthConfig>('{ every: 5s, fail: 2 }', {
        fail: optional(leaf.count, 'Consecutive failures after which a server is down. Default: 1.'),
        every: optional(leaf.time, 'The interval between health checks. Default: no checks.'),
        recover: optional(
          leaf.count,
          'Consecutive successes, in use and in checks, after which it is up again. Default: 1.',
        ),
        connect: optional(
          leaf.destination,
          'A destination that a check must be able to connect to. Default: none.',
        ),
      }),
      'When a server of a group is considered down, and for how long.',
    ),
    tries: optional(leaf.count, 'How many servers of a group are tried per connection. Default: 3.'),
    udp: optional(
      choice(['refuse', 'clear']),
      'Datagrams if links are encrypted: refuse them (the default), or send them in clear text.',
    ),
    ...serverLogin,
  }),
);
