import fc from 'fast-check';
import { settingsFromObject } from '../../src/config/load.ts';
import type { RouteConfig, RuleConfig, ServerConfig, UpstreamConfig } from '../../src/server.ts';
import type { Command, Protocol } from '../../src/policy/policy.ts';
import { HOSTS } from './world.ts';
import type { World } from './world.ts';

/** A request, drawn before the ports of the server are known. */
export interface Drawn {
  readonly listener: 0 | 1;
  /** The last number of the client's address if it is an IPv4 one. */
  readonly from: number;
  readonly user: string | null;
  /** Whether it also offers the method `none`. */
  readonly offersNone: boolean;
  readonly protocol: Protocol;
  readonly command: Command;
  readonly host: string;
  /** Sent as a name even if it is an address. */
  readonly byName: boolean;
  readonly port: number | 'listener' | 'health';
  /** Milliseconds since the epoch. */
  readonly time: number;
}

export interface Scene {
  readonly config: ServerConfig;
  readonly requests: readonly Drawn[];
}

/** Present in one of `n` cases, so that something with many conditions still matches. */
function seldom<T>(n: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: n - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

function some<const T>(values: readonly T[], most = 3): fc.Arbitrary<T[]> {
  return fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: most });
}

function several<T>(arbitrary: fc.Arbitrary<T>, minLength: number): fc.Arbitrary<T[]> {
  return fc.array(arbitrary, { minLength, maxLength: 4, size: 'max' });
}

function weighed(
  weight: number,
  values: readonly string[],
): { weight: number; arbitrary: fc.Arbitrary<string> } {
  return { weight, arbitrary: fc.constantFrom(...values) };
}

const COMMANDS: readonly Command[] = ['connect', 'bind', 'udp', 'resolve'];
const PROTOCOLS: readonly Protocol[] = ['socks5', 'socks4', 'http'];
const METHODS = ['none', 'password', 'certificate'] as const;
const SOURCES = ['any', 'loopback', 'self', 'private', '127.0.0.1', '127.0.0.0/30', '127.0.0.4/30', '::1'];
/** One has a name, the other its address. */
const LISTENERS = ['first', '[::1]:0'];
const USERS = ['alice', 'bob', 'carol', '@staff', '@dev', '@nobody'];
const NAMES = [
  '.example',
  '.sub.example',
  'v4.example',
  'both.example',
  'none.example',
  'localhost',
  '.localhost',
];
const ADDRESSES = ['127.0.0.1', '127.0.0.0/8', '127.0.0.2/31', '::1', '0.0.0.0', '10.0.0.0/8', '192.0.2.1'];
const SETS = ['any', 'any', 'loopback', 'loopback', 'self', 'public', 'private', 'reserved', 'metadata'];

const to = fc.oneof(
  { weight: 6, arbitrary: fc.constant(['any', 'loopback']) },
  { weight: 4, arbitrary: some([...NAMES, ...ADDRESSES, ...SETS], 4) },
  { weight: 1, arbitrary: some(NAMES) },
);

const hour = fc.nat(23).map((n) => `${String(n).padStart(2, '0')}:00`);
const when = fc.record({
  days: seldom(2, some(['mon', 'tue-thu', 'fri', 'sat', 'sun'])),
  hours: seldom(
    2,
    fc
      .tuple(hour, hour)
      .filter(([a, b]) => a !== b)
      .map(([a, b]) => `${a}-${b}`),
  ),
  zone: fc.constantFrom('UTC', 'Europe/Oslo', 'Asia/Kathmandu'),
});

/** A week that contains carol's last day. */
const time = fc.integer({ min: Date.UTC(2026, 10, 23), max: Date.UTC(2026, 10, 30) });

function rule(ports: fc.Arbitrary<(number | string)[]>): fc.Arbitrary<RuleConfig> {
  const commands = fc.oneof({ weight: 2, arbitrary: fc.constant('any' as const) }, some(COMMANDS));
  const common = {
    to,
    listener: seldom(8, some(LISTENERS)),
    from: seldom(6, some(SOURCES)),
    user: seldom(6, some(USERS)),
    port: seldom(6, ports),
    'source-port': seldom(12, fc.constantFrom('1-40000', '40001-65535')),
    protocol: seldom(8, some(PROTOCOLS, 2)),
    when: seldom(8, when),
  };
  return fc.oneof(
    { weight: 3, arbitrary: fc.record({ allow: commands, method: seldom(8, some(METHODS, 2)), ...common }) },
    { weight: 1, arbitrary: fc.record({ deny: commands, ...common }) },
  );
}

const urlsOf = (at: string): readonly string[] =>
  ['socks5', 'socks5h', 'socks4', 'socks4a', 'http'].map((scheme) => `${scheme}://${at}`);

function upstreams({ proxies, secure, ca }: World): fc.Arbitrary<Record<string, UpstreamConfig>> {
  const urls = proxies.flatMap(urlsOf);
  const tls = { ca, name: 'localhost' };
  const udp = seldom(3, fc.constantFrom('clear' as const, 'refuse' as const));
  return fc.record({
    secure: fc.record({
      url: fc.constantFrom(`socks5h+tls://${secure}`, `https://${secure}`),
      tls: fc.constant(tls),
      udp,
    }),
    group: fc.record({
      servers: some([...urls, 'secure']),
      choose: fc.constantFrom('order', 'random', 'round-robin', 'least-sessions', 'source-hash'),
      udp,
    }),
    chain: fc.record({
      chain: fc
        // A server does not connect to itself.
        .tuple(fc.constantFrom(...urlsOf(proxies[0]), 'secure'), fc.constantFrom(...urlsOf(proxies[1])))
        .map((hops) => [...hops]),
      udp,
    }),
    lastly: some(urls).map((servers) => ({ servers: [...servers, 'direct'] })),
    nested: fc.record({ servers: some(['chain', 'group', 'secure', ...urls], 2) }),
    ...Object.fromEntries(urls.map((url, i) => [`url-${i}`, fc.constant({ url })])),
  });
}

function route(ports: fc.Arbitrary<(number | string)[]>, vias: readonly string[]): fc.Arbitrary<RouteConfig> {
  return fc.record({
    to,
    command: seldom(6, some(COMMANDS)),
    listener: seldom(8, some(LISTENERS)),
    from: seldom(6, some(SOURCES)),
    user: seldom(8, some(USERS)),
    port: seldom(6, ports),
    via: fc.oneof(
      fc.constant('direct'),
      fc.constantFrom(...vias),
      fc.constantFrom('secure', 'group', 'chain', 'nested', 'lastly'),
    ),
    resolve: seldom(4, fc.constant('here' as const)),
  });
}

/** Configurations; some contain a mistake, such as a rule that is never reached. */
function configuration(world: World, engine: ServerConfig['engine']): fc.Arbitrary<ServerConfig> {
  const [first, second] = world.ports;
  const ports = some(
    [first, second, world.closed, '1-65535', '1-1023', `${Math.min(first, second)}-65535`, 0],
    2,
  );
  const vias = Array.from({ length: 10 }, (_, i) => `url-${i}`);
  const listener = (address: string, name?: string) =>
    fc.record({
      name: fc.constant(name),
      address: fc.constant(address),
      protocols: fc.oneof({ weight: 4, arbitrary: fc.constant([...PROTOCOLS]) }, some(PROTOCOLS)),
      methods: fc.oneof(
        { weight: 3, arbitrary: fc.constant(['password' as const, 'none' as const]) },
        seldom(2, some(['none', 'password'], 2)),
      ),
      udp: seldom(6, fc.record({ 'declared-port': fc.constantFrom('hint' as const, 'require' as const) })),
    });
  const accept = fc.record({
    allow: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
    listener: seldom(6, some(LISTENERS)),
    from: fc.oneof({ weight: 2, arbitrary: fc.constant(['loopback']) }, some(SOURCES)),
    methods: seldom(3, some(METHODS, 2)),
  });
  return fc.record({
    listen: fc.tuple(listener('127.0.0.1:0', 'first'), listener('[::1]:0')).map((both) => [...both]),
    users: fc.oneof(
      { weight: 6, arbitrary: fc.constant({ file: world.usersFile }) },
      { weight: 1, arbitrary: fc.constant(undefined) },
    ),
    accept: seldom(5, several(accept, 0)),
    rules: fc.oneof({ weight: 8, arbitrary: several(rule(ports), 1) }, fc.constant(undefined)),
    routes: seldom(2, several(route(ports, vias), 1)),
    upstreams: upstreams(world),
    resolve: fc.record({
      servers: fc.constant(world.nameServer),
      family: seldom(4, fc.constantFrom('ipv4' as const, 'ipv6' as const, 'prefer-ipv4' as const)),
    }),
    nat64: seldom(6, fc.constant('64:ff9b::/96')),
    health: seldom(2, fc.constant('127.0.0.1:0')),
    engine: fc.constant(engine),
  });
}

function request({ ports, closed }: World): fc.Arbitrary<Drawn> {
  const { reachable, uncertain, improper, elsewhere } = HOSTS;
  const lasting = [
    weighed(16, reachable),
    weighed(2, uncertain),
    weighed(1, improper),
    weighed(1, ['0.0.0.0', '::']),
  ];
  const target = (command: Command): fc.Arbitrary<string> => {
    if (command === 'connect') return fc.oneof(...lasting);
    if (command === 'resolve') return fc.oneof(...lasting, weighed(8, elsewhere));
    return fc.oneof(...lasting, weighed(4, ['0.0.0.0', '::', '']));
  };
  const spoken = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        protocol: fc.constant<Protocol>('socks5'),
        command: fc.constantFrom(...COMMANDS),
      }),
    },
    fc.record({
      protocol: fc.constant<Protocol>('socks4'),
      command: fc.constantFrom<Command[]>('connect', 'bind', 'resolve'),
    }),
    fc.record({ protocol: fc.constant<Protocol>('http'), command: fc.constant<Command>('connect') }),
  );
  return spoken.chain(({ protocol, command }) =>
    fc.record({
      listener: fc.oneof({ weight: 3, arbitrary: fc.constant<0 | 1>(0) }, fc.constant<0 | 1>(1)),
      from: fc.integer({ min: 1, max: 8 }),
      user:
        protocol === 'socks4'
          ? fc.constant(null)
          : fc.oneof(
              { weight: 5, arbitrary: fc.constantFrom('alice', 'bob') },
              fc.constantFrom(null, null, 'carol', 'mallory'),
            ),
      offersNone: fc.boolean(),
      protocol: fc.constant(protocol),
      command: fc.constant(command),
      host: target(command).filter((host) => protocol !== 'http' || /^[!-~]+$/.test(host)),
      byName: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true)),
      port: fc.oneof(
        { weight: 12, arbitrary: fc.constantFrom(...ports) },
        fc.constantFrom(closed, 0),
        fc.constantFrom('listener' as const, 'health' as const),
      ),
      time,
    }),
  );
}

/** A valid configuration, and the requests to its server. */
export function scene(world: World, engine: ServerConfig['engine']): fc.Arbitrary<Scene> {
  return fc.record({
    config: configuration(world, engine).filter(
      (config) => settingsFromObject(config, false).settings !== undefined,
    ),
    requests: fc.array(request(world), { minLength: 1, maxLength: 20, size: 'max' }),
  });
}
