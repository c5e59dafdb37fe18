import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectory } from '../support/directory.ts';
import { check, run, start, until } from '../support/process.ts';
import { startDnsmasq } from './dnsmasq.ts';
import { addCable, addMachine, deviceTo, type CableEnd, type Machine } from './machine.ts';

/** A machine whose programs use its own name server. */
export interface Host extends Machine {
  /** The queries that its name server received: `A www.far.test`. */
  readonly asked: () => readonly string[];
}

/** Names, each with its addresses: `{ 'www.far.test': '10.77.4.2,fd77:4::2' }`. */
export type Names = Readonly<Record<string, string>>;

/** Its name server resolves these names, and reports that all others do not exist. */
export async function startHost(role: string, names: Names = {}): Promise<Host> {
  await using stack = new AsyncDisposableStack();
  const machine = stack.use(await addMachine(role));
  // `ip netns exec` mounts it as /etc/resolv.conf.
  const etc = join('/etc/netns', machine.namespace);
  await mkdir(etc, { recursive: true });
  stack.defer(() => rm(etc, { recursive: true }));
  await writeFile(join(etc, 'resolv.conf'), 'nameserver 127.0.0.1\n');
  const options = [
    '--log-queries',
    '--bind-dynamic',
    '--local=/#/',
    ...Object.entries(names).map(([name, addresses]) => `--host-record=${name},${addresses}`),
  ];
  const dnsmasq = stack.use(await startDnsmasq(options, machine.prefix));
  const resources = stack.move();
  return {
    ...machine,
    asked: () =>
      Array.from(
        dnsmasq.stderr().matchAll(/query\[(\w+)\] (\S+) from/g),
        ([, type, name]) => `${type} ${name}`,
      ),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Connects machines with a network: a bridge. */
export async function addNetwork(role: string, ends: readonly CableEnd[]): Promise<Machine> {
  await using stack = new AsyncDisposableStack();
  const bridge = stack.use(await addMachine(role));
  await check([...bridge.prefix, 'ip', 'link', 'add', 'name', 'bridge', 'type', 'bridge']);
  await check([...bridge.prefix, 'ip', 'link', 'set', 'bridge', 'up']);
  for (const end of ends) {
    await addCable(end, { at: bridge, addresses: [] });
    await check([...bridge.prefix, 'ip', 'link', 'set', deviceTo(end.at), 'master', 'bridge']);
  }
  const resources = stack.move();
  return { ...bridge, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** A web server on port 80. */
export interface Web extends AsyncDisposable {
  /** The address of the client, for each request. */
  readonly visitors: () => readonly string[];
}

/** With a queue longer than five: a client that finds it full waits for a second. */
const WEB = `
import functools, http.server as server, sys
server.ThreadingHTTPServer.request_queue_size = 128
handler = functools.partial(server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server.test(handler, server.ThreadingHTTPServer, port=80)`;

export async function startWeb(host: Host, page: string): Promise<Web> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await makeDirectory());
  await writeFile(join(path, 'index.html'), page);
  const web = stack.use(
    await start([...host.prefix, 'python3', '-u', '-c', WEB, path], { ready: /Serving HTTP/ }),
  );
  const resources = stack.move();
  return {
    visitors: () => Array.from(web.stderr().matchAll(/^(\S+) - - .*"GET /gm), ([, address]) => address!),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** A server on a port. */
export interface Listening extends AsyncDisposable {
  readonly port: number;
}

/** For a program that does not print when it listens. */
export async function startListening(
  host: Pick<Host, 'prefix'>,
  port: number,
  command: readonly string[],
): Promise<Listening> {
  await using stack = new AsyncDisposableStack();
  const daemon = stack.use(await start([...host.prefix, ...command], { ready: /(?:)/ }));
  await until(
    async () =>
      (await check([...host.prefix, 'ss', '-Hltn', `sport = :${port}`])) === '' ? undefined : true,
    () => `${command[0]} does not listen: ${daemon.stderr()}`,
  );
  const resources = stack.move();
  return { port, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** vsftpd on port 21 with these files, for anonymous users; in active mode it connects back from port 20. */
export async function startFtp(
  host: Pick<Host, 'prefix'>,
  files: string,
  directory: string,
): Promise<Listening> {
  const empty = join(directory, 'empty');
  const config = join(directory, 'vsftpd.conf');
  await mkdir(empty);
  const settings = {
    listen: 'YES',
    background: 'NO',
    anonymous_enable: 'YES',
    anon_root: files,
    secure_chroot_dir: empty,
    seccomp_sandbox: 'NO',
    connect_from_port_20: 'YES',
  };
  await writeFile(
    config,
    Object.entries(settings)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  );
  return startListening(host, 21, ['vsftpd', config]);
}

/** The result of curl on a client machine: the page, or the SOCKS5 reply code. */
export async function fetchPage(host: Host, proxy: string, url: string): Promise<string> {
  const curl = ['curl', '-sS', '-m', '20', '-x', `socks5h://${proxy}`, url];
  const { code, stdout, stderr } = await run([...host.prefix, ...curl]);
  if (code === 0) return stdout;
  const reply = /SOCKS5 connection to .*\((\d+)\)/.exec(stderr)?.[1];
  return reply === undefined ? `exit code ${code}: ${stderr}` : `reply ${reply}`;
}

/** A prefix that makes Dante's client library send all traffic of a program to this proxy. */
export async function socksify(
  host: Host,
  proxy: { host: string; port: number },
  directory: string,
): Promise<readonly string[]> {
  const config = join(directory, `socks-${proxy.port}.conf`);
  const route = `from: 0/0 to: 0/0 via: ${proxy.host} port = ${proxy.port}`;
  await writeFile(config, `route {\n ${route}\n proxyprotocol: socks_v5\n method: none\n}\n`);
  // Otherwise it treats the networks of local interfaces as direct.
  const env = ['env', `SOCKS_CONF=${config}`, 'SOCKS_AUTOADD_LANROUTES=no'];
  return [...host.prefix, ...env, 'socksify'];
}

/**
 * Five machines in a row, each with a cable to the next one and no route to any other.
 *
 *     client 10.77.1.2 -- 10.77.1.1 first 10.77.2.1 -- 10.77.2.2 middle 10.77.3.1 -- 10.77.3.2 last 10.77.4.1 -- 10.77.4.2 server
 */
export interface Row extends AsyncDisposable {
  readonly client: Host;
  readonly first: Host;
  readonly middle: Host;
  readonly last: Host;
  readonly server: Host;
  readonly web: Web;
  /** The queries that the name servers of the first three received. */
  readonly othersAsked: () => readonly string[];
}

/** Names that only the name servers of the last machine and the server itself can resolve. */
export const far = {
  name: 'www.far.test',
  v4: '10.77.4.2',
  v6: 'fd77:4::2',
  page: 'a page from the far side\n',
} as const;

export async function startRow(): Promise<Row> {
  await using stack = new AsyncDisposableStack();
  const names = { [far.name]: `${far.v4},${far.v6}`, 'denied.far.test': far.v4 };
  const client = stack.use(await startHost('client'));
  const first = stack.use(await startHost('first'));
  const middle = stack.use(await startHost('middle'));
  const last = stack.use(await startHost('last', names));
  const server = stack.use(await startHost('server', names));
  const row = [client, first, middle, last, server];
  for (const [i, at] of row.slice(0, -1).entries()) {
    const near = { at, addresses: [`10.77.${i + 1}.${i === 0 ? 2 : 1}/24`] };
    const next = { at: row[i + 1]!, addresses: [`10.77.${i + 1}.${i === 0 ? 1 : 2}/24`] };
    await addCable(near, next);
  }
  const web = stack.use(await startWeb(server, far.page));
  const resources = stack.move();
  return {
    client,
    first,
    middle,
    last,
    server,
    web,
    othersAsked: () => [client, first, middle].flatMap((host) => host.asked()),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
