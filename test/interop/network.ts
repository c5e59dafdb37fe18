import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectory } from '../support/directory.ts';
import { startGarter, type Garter } from '../support/garter.ts';
import { check, start } from '../support/process.ts';

/**
 * Three machines, each a network namespace: the client and the server each share a network with the proxy and have no
 * route to one another. What a program gets from the server, it got through garter.
 *
 *     client 10.77.1.2 ---- 10.77.1.1 proxy 10.77.2.1 ---- 10.77.2.2 server
 *            fd77:1::2 ---- fd77:1::1       fd77:2::1 ---- fd77:2::2
 */
export interface Network extends AsyncDisposable {
  /** What to put in front of a command so that it runs there. */
  readonly client: readonly string[];
  readonly server: readonly string[];
  /** On the proxy machine, open to the client machine. */
  readonly garter: Garter;
  /** host:port of garter. */
  readonly proxy: string;
  /** Scratch space, and what the web server shows. */
  readonly directory: string;
  readonly webRoot: string;
}

export interface NetworkOptions {
  /** Lines of `rules:`. @default one rule that allows everything */
  readonly rules?: string;
  readonly users?: Readonly<{ [name: string]: string }>;
}

/** The server's addresses; its name is known to no name server but its own, which only the proxy can reach. */
export const far = { name: 'www.far.test', v4: '10.77.2.2', v6: 'fd77:2::2' } as const;
export const page = 'a page from the far side\n';

/** Starts the machines, a web server on port 80, a name server on port 53 and garter. */
export async function startNetwork(options: NetworkOptions = {}): Promise<Network> {
  await using stack = new AsyncDisposableStack();
  const client = stack.use(await addNamespace('client'));
  const proxy = stack.use(await addNamespace('proxy'));
  const server = stack.use(await addNamespace('server'));
  await connect(client, proxy, 1);
  await connect(server, proxy, 2);

  const directory = stack.use(await makeDirectory()).path;
  const webRoot = join(directory, 'www');
  await mkdir(webRoot);
  await writeFile(join(webRoot, 'index.html'), page);
  const web = ['python3', '-u', '-m', 'http.server', '80', '--bind', '::', '--directory', webRoot];
  stack.use(await start([...server.prefix, ...web], { ready: /Serving HTTP/ }));
  stack.use(await start([...server.prefix, 'dnsmasq', ...dnsmasqOptions], { ready: /started/ }));
  const garter = stack.use(
    await startGarter({
      host: '10.77.1.1',
      prefix: proxy.prefix,
      config: `
accept: [{ name: client, allow: true, from: [10.77.1.2] }]
rules:
${options.rules ?? '  - { name: all, allow: any, to: [any] }'}
resolve: { servers: ["${far.v4}:53"] }
timeouts: { connect: 5s }`,
      ...(options.users === undefined ? {} : { users: options.users }),
    }),
  );
  const resources = stack.move();
  return {
    client: client.prefix,
    server: server.prefix,
    garter,
    proxy: `${garter.host}:${garter.port}`,
    directory,
    webRoot,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

const dnsmasqOptions = [
  '--keep-in-foreground',
  '--log-facility=-',
  '--conf-file=/dev/null',
  '--no-resolv',
  '--no-hosts',
  '--user=root',
  '--pid-file=',
  '--local=/far.test/',
  `--host-record=${far.name},${far.v4},${far.v6}`,
];

interface Namespace extends AsyncDisposable {
  readonly name: string;
  readonly role: string;
  readonly prefix: readonly string[];
}

async function addNamespace(role: string): Promise<Namespace> {
  const name = `garter-${process.pid}-${role}`;
  const prefix = ['ip', 'netns', 'exec', name];
  await check(['ip', 'netns', 'add', name]);
  await check([...prefix, 'ip', 'link', 'set', 'lo', 'up']);
  return {
    name,
    role,
    prefix,
    [Symbol.asyncDispose]: async () => void (await check(['ip', 'netns', 'delete', name])),
  };
}

/** A cable from a machine, which gets the addresses that end in 2, to the proxy. */
async function connect(machine: Namespace, proxy: Namespace, network: number): Promise<void> {
  const ends = [
    { at: machine, device: 'to-proxy', host: 2 },
    { at: proxy, device: `to-${machine.role}`, host: 1 },
  ] as const;
  const peer = ['type', 'veth', 'peer', ends[1].device, 'netns', proxy.name];
  await check(['ip', 'link', 'add', ends[0].device, 'netns', machine.name, ...peer]);
  for (const { at, device, host } of ends) {
    const ip = [...at.prefix, 'ip'];
    await check([...ip, 'address', 'add', `10.77.${network}.${host}/24`, 'dev', device]);
    await check([...ip, 'address', 'add', `fd77:${network}::${host}/64`, 'dev', device, 'nodad']);
    await check([...ip, 'link', 'set', device, 'up']);
  }
}
