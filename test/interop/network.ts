import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectory } from '../support/directory.ts';
import { startGarter, type Garter } from '../support/garter.ts';
import { start } from '../support/process.ts';
import { startDnsmasq } from './dnsmasq.ts';
import { addCable, addMachine, tune, type Machine } from './machine.ts';

/**
 * Three machines, each a network namespace: client and server each share a network with the proxy, and have no
 * route to each other. Everything that a program receives from the server has passed through garter.
 *
 *     client 10.77.1.2 ---- 10.77.1.1 proxy 10.77.2.1 ---- 10.77.2.2 server
 *            fd77:1::2 ---- fd77:1::1       fd77:2::1 ---- fd77:2::2
 */
export interface Network extends AsyncDisposable {
  readonly machines: Readonly<Record<'client' | 'proxy' | 'server', Machine>>;
  /** Put in front of a command to run it there. */
  readonly client: readonly string[];
  readonly server: readonly string[];
  /** Runs on the proxy machine, and is open to the client machine. */
  readonly garter: Garter;
  /** The host:port of garter. */
  readonly proxy: string;
  /** Temporary files, and the files of the web server. */
  readonly directory: string;
  readonly webRoot: string;
}

export interface NetworkOptions {
  /** Lines of `rules`. @default one rule that allows everything */
  readonly rules?: string;
  readonly users?: Readonly<{ [name: string]: string }>;
  /** IP versions. @default both */
  readonly families?: readonly (4 | 6)[];
  /** The content of `timeouts`. @default 'connect: 5s' */
  readonly timeouts?: string;
  /** More names for the name server, each with its addresses: `other.far.test,10.77.2.3`. */
  readonly names?: readonly string[];
}

/**
 * The server's addresses, and its name, which only its own name server can resolve; only the proxy can reach
 * that one.
 */
export const far = { name: 'www.far.test', v4: '10.77.2.2', v6: 'fd77:2::2' } as const;
export const page = 'a page from the far side\n';

/** Starts the machines, a web server on port 80, a name server on port 53 and garter. */
export async function startNetwork(options: NetworkOptions = {}): Promise<Network> {
  const { families = [4, 6], timeouts = 'connect: 5s', names = [] } = options;
  await using stack = new AsyncDisposableStack();
  const client = stack.use(await addMachine('client'));
  const proxy = stack.use(await addMachine('proxy'));
  const server = stack.use(await addMachine('server'));
  const addresses = (network: number, host: number): readonly string[] =>
    families.map((family) => (family === 4 ? `10.77.${network}.${host}/24` : `fd77:${network}::${host}/64`));
  await addCable({ at: client, addresses: addresses(1, 2) }, { at: proxy, addresses: addresses(1, 1) });
  await addCable({ at: server, addresses: addresses(2, 2) }, { at: proxy, addresses: addresses(2, 1) });
  if (!families.includes(6)) await tune(proxy, 'net.ipv6.conf.all.disable_ipv6=1');

  const directory = stack.use(await makeDirectory()).path;
  const webRoot = join(directory, 'www');
  await mkdir(webRoot);
  await writeFile(join(webRoot, 'index.html'), page);
  const web = ['python3', '-u', '-m', 'http.server', '80', '--bind', '::', '--directory', webRoot];
  stack.use(await start([...server.prefix, ...web], { ready: /Serving HTTP/ }));
  const records = [`${far.name},${far.v4},${far.v6}`, ...names].map((name) => `--host-record=${name}`);
  stack.use(await startDnsmasq(['--local=/far.test/', ...records], server.prefix));
  const nameServer = families.includes(4) ? far.v4 : `[${far.v6}]`;
  const garter = stack.use(
    await startGarter({
      host: families.includes(4) ? '10.77.1.1' : 'fd77:1::1',
      prefix: proxy.prefix,
      config: `
accept: [{ name: client, allow: true, from: [10.77.1.2, fd77:1::2] }]
rules:
${options.rules ?? '  - { name: all, allow: any, to: [any] }'}
resolve: { servers: ["${nameServer}:53"] }
timeouts: { ${timeouts} }`,
      ...(options.users === undefined ? {} : { users: options.users }),
    }),
  );
  const resources = stack.move();
  return {
    machines: { client, proxy, server },
    client: client.prefix,
    server: server.prefix,
    garter,
    proxy: `${garter.host.includes(':') ? `[${garter.host}]` : garter.host}:${garter.port}`,
    directory,
    webRoot,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
