import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { formatUser } from '../../src/auth/users-file.ts';
import type { User } from '../../src/auth/users-file.ts';
import { settingsFromObject } from '../../src/config/load.ts';
import { formatProblems } from '../../src/config/source/problem.ts';
import { HealthEndpoint } from '../../src/admin/health.ts';
import { Server } from '../../src/server/server.ts';
import type { StartOptions } from '../../src/server/server.ts';
import { listenerName } from '../../src/server/listen/listeners.ts';
import type { Settings } from '../../src/server/settings.ts';
import type { ServerConfig } from '../../src/server.ts';
import { cert, key } from '../support/certificate.ts';
import { makeDirectory } from '../support/directory.ts';
import { hashOf } from '../support/hash.ts';
import { address, response, startNameServer } from '../support/name-server.ts';
import { closedPort, startTarget } from '../support/targets.ts';

/** The addresses of the targets, for connections and datagrams on each of their ports. */
const TARGETS: readonly string[] = ['127.0.0.1', '127.0.0.2', '::1'];

export const PASSWORD = 'hunter2';
const HASH = hashOf(8, 1, PASSWORD);
export const USERS: readonly User[] = [
  { name: 'alice', hash: HASH, groups: ['staff', 'dev'] },
  { name: 'bob', hash: HASH, groups: [] },
  { name: 'carol', hash: HASH, groups: ['staff'], expires: '2026-11-26' },
];

/** Names that resolve to addresses of targets. */
const REACHABLE: Readonly<Record<string, readonly string[]>> = {
  'v4.example': ['127.0.0.1'],
  'v6.example': ['::1'],
  'both.example': ['::1', '127.0.0.1'],
  'two.sub.example': ['127.0.0.1', '127.0.0.2'],
  'xn--bcher-kva.example': ['127.0.0.2'],
};
/** Names with addresses that nothing is sent to. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  'private.example': ['10.1.2.3'],
  'mixed.sub.example': ['10.1.2.3', '::1', '192.0.2.1'],
};

/** The hosts of requests, as clients spell them. */
export const HOSTS: Readonly<
  Record<'reachable' | 'uncertain' | 'improper' | 'elsewhere', readonly string[]>
> = {
  /** Allowed requests reach a target. */
  reachable: [
    ...TARGETS,
    '::ffff:127.0.0.1',
    '0:0:0:0:0:0:0:1',
    '[::1]',
    '[::ffff:127.0.0.2]',
    ...Object.keys(REACHABLE),
    'V4.Example.',
    'bücher.example',
    'localhost',
    'LOCALHOST.',
    'a.localhost',
  ],
  /** Allowed requests fail. */
  uncertain: ['none.example', 'fails.example', 'empty.sub.example', 'a.invalid', '-'],
  /** Invalid or ambiguous names. */
  improper: ['127.1', '0x7f.0.0.1', '2130706433', 'a..example', 'a!.example', `${'a'.repeat(64)}.example`],
  /** Only for RESOLVE, which sends nothing to them. */
  elsewhere: [
    ...Object.keys(ELSEWHERE),
    '10.1.2.3',
    '192.0.2.1',
    '169.254.169.254',
    '8.8.8.8',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'fc00::1',
  ],
};

/** The environment of every configuration: targets, proxy servers, names and users. */
export interface World extends AsyncDisposable {
  /** The ports of the targets, and a port without a listener. */
  readonly ports: readonly [number, number];
  readonly closed: number;
  readonly nameServer: string;
  readonly usersFile: string;
  /** URLs of proxy servers without the scheme, and of one with TLS. */
  readonly proxies: readonly [string, string];
  readonly secure: string;
  readonly ca: string;
}

export async function startWorld(engine: ServerConfig['engine']): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await makeDirectory()).path;
  const [usersFile, ca, keyFile] = ['users.txt', 'c.pem', 'c.key'].map((name) => join(directory, name));
  await writeFile(usersFile!, USERS.map((user) => `${formatUser(user)}\n`).join(''), { mode: 0o600 });
  await writeFile(ca!, cert);
  await writeFile(keyFile!, key, { mode: 0o600 });
  const ports = [await openTargets(stack), await openTargets(stack)] as const;
  const names = await startNameServer((asked) => {
    const name = asked.name.toLowerCase();
    if (name === 'fails.example') return [response(asked, { rcode: 2 })];
    const addresses = REACHABLE[name] ?? ELSEWHERE[name];
    if (addresses === undefined) return [response(asked, { rcode: name === 'empty.sub.example' ? 0 : 3 })];
    const wanted = addresses.filter((ip) => ip.includes(':') === (asked.type === 'AAAA'));
    return [response(asked, { answers: wanted.map((ip) => address(asked.name, ip)) })];
  });
  stack.use(names);
  const nameServer = `127.0.0.1:${names.endpoint.port}`;
  const proxy = async (tls?: { cert: string; key: string }): Promise<string> => {
    const { server } = await startServer({
      listen: [{ address: '127.0.0.1:0', protocols: ['socks5', 'socks4', 'http'], methods: 'none', tls }],
      rules: [{ allow: 'any', to: ['any', 'loopback', 'self', 'reserved', '0.0.0.0', '::'] }],
      resolve: { servers: nameServer },
      engine,
    });
    stack.use(server);
    return `127.0.0.1:${server.addresses[0]!.port}`;
  };
  const world = {
    ports,
    closed: await closedPort(),
    nameServer,
    usersFile: usersFile!,
    proxies: [await proxy(), await proxy()] as const,
    secure: await proxy({ cert: ca!, key: keyFile! }),
    ca: ca!,
  };
  const resources = stack.move();
  return { ...world, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** A server, and the settings that `garter check` would read if they contained the actual ports. */
export interface Running {
  readonly server: Server;
  readonly settings: Settings;
}

export async function startServer(config: ServerConfig, hooks: StartOptions = {}): Promise<Running> {
  const { settings, errors } = settingsFromObject(config, false);
  if (settings === undefined) throw new Error(formatProblems(errors, 'error'));
  let endpoint: HealthEndpoint | undefined;
  const server = await Server.start(settings, {
    ...hooks,
    attachments: (made) => [(endpoint = new HealthEndpoint(made))],
  });
  const listeners = settings.listeners.map((listener, i) => ({
    ...listener,
    name: listenerName(listener),
    address: server.addresses[i]!,
  }));
  const health = endpoint?.at;
  return { server, settings: { ...settings, listeners, ...(health !== undefined && { health }) } };
}

const echo = (socket: Socket): void => void socket.pipe(socket);

/** Opens one port on all addresses, which echoes everything. */
async function openTargets(stack: AsyncDisposableStack): Promise<number> {
  for (;;) {
    await using open = new AsyncDisposableStack();
    const { port } = open.use(await startTarget(echo));
    try {
      for (const host of TARGETS) {
        if (host !== '127.0.0.1') open.use(await startTarget(echo, host, port));
        const datagrams = createSocket(host.includes(':') ? 'udp6' : 'udp4');
        open.defer(() => void datagrams.close());
        datagrams.on('message', (message, from) => datagrams.send(message, from.port, from.address));
        datagrams.bind(port, host);
        await once(datagrams, 'listening');
      }
    } catch (error) {
      // Another program has this port on another address.
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue;
      throw error;
    }
    stack.use(open.move());
    return port;
  }
}
