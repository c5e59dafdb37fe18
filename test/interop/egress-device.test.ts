import assert from 'node:assert/strict';
import { chown, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Authority } from '../support/authority.ts';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand, startGarter, type Garter } from '../support/garter.ts';
import { check, run, start, until } from '../support/process.ts';
import { startDnsmasq } from './dnsmasq.ts';
import { addCable, addMachine, deviceTo, filter, packets, tune, type Machine } from './machine.ts';

/** Both neighbours have these addresses: the one that answers shows which link was used. */
const TARGET = { v4: '10.99.0.1', v6: 'fd99::1' } as const;
const ECHO_PORT = 7;
/** Counts packets that leave by one link with the address of the other. */
const COUNTERS = `counter strayed {}
chain out {
  type filter hook output priority 0;
  oifname "to-near" ip saddr 10.77.2.1 counter name strayed
  oifname "to-near" ip6 saddr fd77:2::1 counter name strayed
}`;
const through = join(import.meta.dirname, 'clients/through.ts');
const echo = join(import.meta.dirname, 'clients/echo.ts');
const bind = join(import.meta.dirname, 'clients/bind.ts');

/** Only the fast engine supports this; the error of the portable one is tested elsewhere. */
suite('an interface as egress', { skip: process.env.GARTER_ENGINE === 'portable' }, () => {
  const stack = new AsyncDisposableStack();
  /** Reached by the default route, and by the tunnel. */
  let near: Machine;
  let vpn: Machine;
  let proxy: Machine;
  before(async () => {
    proxy = stack.use(await addMachine('proxy'));
    near = stack.use(await addMachine('near'));
    vpn = stack.use(await addMachine('vpn'));
    await addCable(
      { at: proxy, addresses: ['10.77.1.1/24', 'fd77:1::1/64'] },
      { at: near, addresses: ['10.77.1.2/24', 'fd77:1::2/64'] },
    );
    await addTunnel();
    await defaultRoute('near', 1);
    for (const machine of [near, vpn]) {
      for (const address of [`${TARGET.v4}/32`, `${TARGET.v6}/128`])
        await check([...machine.prefix, 'ip', 'address', 'add', address, 'dev', 'lo']);
      await tune(machine, 'net.ipv4.ip_forward=1');
      const command = [echo, String(ECHO_PORT), machine.role, TARGET.v4, TARGET.v6];
      stack.use(await start([...machine.prefix, process.execPath, ...command], { ready: /ready/ }));
    }
    // One name server resolves the name to the target, the other to an address without a host.
    stack.use(await startDnsmasq([`--host-record=echo.test,${TARGET.v4}`], vpn.prefix));
    stack.use(await startDnsmasq(['--host-record=echo.test,10.99.0.9'], near.prefix));
    await filter(proxy, COUNTERS);
  });
  after(() => stack.disposeAsync());

  async function addTunnel(): Promise<void> {
    await addCable(
      { at: proxy, addresses: ['10.77.2.1/24', 'fd77:2::1/64'] },
      { at: vpn, addresses: ['10.77.2.2/24', 'fd77:2::2/64'] },
    );
    await defaultRoute('vpn', 2);
  }
  /** With a metric that gives `near` precedence. */
  async function defaultRoute(role: string, network: number, families = [4, 6]): Promise<void> {
    for (const gateway of families.map((one) => (one === 4 ? `10.77.${network}.2` : `fd77:${network}::2`)))
      await check([
        ...proxy.prefix,
        ...`ip route add default via ${gateway} dev ${deviceTo({ role })} metric ${network}`.split(' '),
      ]);
  }

  const garterBy = (egress: string, { more = '', via = 'direct', upstreams = '' } = {}): Promise<Garter> =>
    startGarter({
      prefix: proxy.prefix,
      config: `rules: [{ name: all, allow: any, to: [any] }]
routes: [{ to: [any], via: ${via}, egress: ${egress}${more} }]
${upstreams}
accept: [{ name: all, allow: true, from: [loopback, private] }]
timeouts: { connect: 5s }`,
    });
  const ask = (garter: Garter, command: string, to: string): Promise<string> =>
    check([...proxy.prefix, process.execPath, ...asking(garter, command, to)]);
  const nothingStrayed = async (): Promise<void> => assert.equal(await packets(proxy, 'strayed'), 0);

  test('otherwise the default route is used', async () => {
    await using garter = await garterBy('to-near');
    assert.match(await ask(garter, 'connect', TARGET.v4), /near hears 10\.77\.1\.1: hello/);
  });

  for (const [family, to, from] of [
    ['IPv4', TARGET.v4, '10.77.2.1'],
    ['IPv6', TARGET.v6, 'fd77:2::1'],
  ] as const)
    test(`connections and datagrams over ${family} use it`, async () => {
      await using garter = await garterBy('to-vpn');
      assert.ok((await ask(garter, 'connect', to)).includes(`vpn hears ${from}: hello`));
      assert.ok((await ask(garter, 'udp', to)).includes(`vpn hears ${from}: hello`));
      await nothingStrayed();
    });

  for (const scheme of ['socks5', 'socks5+tls']) {
    test(`so do connections to an upstream by ${scheme}, its checks, and the queries of the route`, async () => {
      await using directory = await makeDirectory();
      const ca = await Authority.make(directory.path, 'ca');
      const { cert, key } = await ca.issue('server', { names: `IP:${TARGET.v4}` });
      const isEncrypted = scheme.endsWith('tls');
      await using upstream = await startGarter({
        host: TARGET.v4,
        prefix: vpn.prefix,
        listener: isEncrypted ? [`tls: { cert: ${cert}, key: ${key} }`] : [],
        config: `accept: [{ name: all, allow: true, from: [private] }]
rules: [{ name: all, allow: any, to: [any, self] }]`,
      });
      const url = `${scheme}://${TARGET.v4}:${upstream.port}`;
      await using garter = await garterBy('to-vpn', {
        via: 'far',
        more: `, dns: ["${TARGET.v4}"]`,
        upstreams: `upstreams: { far: { servers: [{ url: "${url}"${isEncrypted ? `, tls: { ca: ${ca.cert} }` : ''} }], health: { every: 200ms }, udp: clear } }`,
      });
      assert.match(await ask(garter, 'connect', 'echo.test'), /vpn hears 10\.99\.0\.1: hello/);
      assert.match(await ask(garter, 'udp', 'echo.test'), /vpn hears 10\.99\.0\.1: hello/);
      // A check ends after the greeting.
      await upstream.record({ end: 'client:request' });
      await nothingStrayed();
    });
  }

  test("a link-local destination is on the interface's link, and loopback cannot be reached", async () => {
    await check([...vpn.prefix, 'ip', 'address', 'add', 'fe80::99/64', 'dev', 'to-proxy', 'nodad']);
    await check([...proxy.prefix, 'ip', 'address', 'add', 'fe80::98/64', 'dev', 'to-vpn', 'nodad']);
    await using garter = await startGarter({
      prefix: proxy.prefix,
      config: `rules: [{ name: all, allow: any, to: [link-local, loopback] }]
routes: [{ to: [any], via: direct, egress: to-vpn }]`,
    });
    assert.match(await ask(garter, 'connect', 'fe80::99'), /vpn hears fe80:[^ ]*: hello/);
    assert.match(await ask(garter, 'udp', 'fe80::99'), /vpn hears fe80:[^ ]*: hello/);
    assert.equal(await ask(garter, 'connect', '127.0.0.1'), 'reply 1\n');
    await garter.record({ destination: `127.0.0.1:${ECHO_PORT}`, end: 'internal:dial:EADDRNOTAVAIL' });
  });

  test('while it is down or removed, nothing is sent; when it is back, everything works again', async () => {
    await using garter = await garterBy('to-vpn');
    const command = asking(garter, 'udp-again', TARGET.v4);
    await using client = await start([...proxy.prefix, process.execPath, ...command], {
      ready: /got vpn hears/,
    });
    const answers = (): readonly string[] => client.stdout().match(/^got .*$/gm) ?? [];
    const again = async (): Promise<string> => {
      const { length } = answers();
      client.signal('SIGHUP');
      return until(
        () => Promise.resolve(answers()[length]),
        () => client.stdout(),
      );
    };
    const set = (state: string): Promise<string> =>
      check([...proxy.prefix, 'ip', 'link', 'set', 'to-vpn', state]);
    await set('down');
    assert.equal(await ask(garter, 'connect', TARGET.v4), 'reply 1\n');
    await garter.record({ command: 'connect', end: 'internal:dial:EADDRNOTAVAIL' });
    assert.equal(await again(), 'got nothing');
    await check([...proxy.prefix, 'ip', 'link', 'delete', 'to-vpn']);
    assert.equal(await ask(garter, 'connect', TARGET.v4), 'reply 1\n');
    await garter.record({ command: 'connect', end: 'internal:dial:EADDRNOTAVAIL' });
    assert.equal(await again(), 'got nothing');
    await addTunnel();
    assert.match(await ask(garter, 'connect', TARGET.v4), /vpn hears 10\.77\.2\.1: hello/);
    const untilFrom = (address: string): Promise<true> =>
      until(
        async () => (await again()).includes(`vpn hears ${address}:`),
        () => client.stdout(),
      );
    await untilFrom('10.77.2.1');
    for (const [next, last] of [
      ['10.77.2.3', '10.77.2.1'],
      ['10.77.2.1', '10.77.2.3'],
    ] as const) {
      for (const change of [`del ${last}`, `add ${next}`])
        await check([...proxy.prefix, ...`ip address ${change}/24 dev to-vpn`.split(' ')]);
      await untilFrom(next);
    }
    await defaultRoute('vpn', 2, [4]);
    await nothingStrayed();
  });

  for (const [name, options, open, shut, at] of [
    ["BIND's port is on it", { egress: 'to-vpn' }, 'vpn', 'near', '10.77.2.1'],
    [
      "BIND's port is on the interface of the listener",
      { egress: undefined, listener: ['interface: to-vpn'], host: '10.77.2.1' },
      'vpn',
      'near',
      '10.77.2.1',
    ],
  ] as const)
    test(`${name}, and not reachable from another link`, async () => {
      const [inside, outside] = [open, shut].map((role) => (role === 'vpn' ? vpn : near)) as [
        Machine,
        Machine,
      ];
      await using garter = await ('host' in options
        ? startGarter({
            host: options.host,
            listener: options.listener,
            prefix: proxy.prefix,
            config: 'accept: [{ name: all, allow: true, from: [private] }]',
          })
        : garterBy(options.egress));
      const from = 'host' in options ? inside : proxy;
      const program = [...from.prefix, process.execPath, bind, garter.host, String(garter.port), '0.0.0.0'];
      await using waiting = await start(program, { ready: /^bound (\S+) (\d+)$/m });
      const port = waiting.ready[2]!;
      const peer = (machine: Machine): Promise<{ readonly code: number | null }> =>
        run([...machine.prefix, 'ncat', '-w', '5', '--send-only', at, port], { input: machine.role });
      await check([...outside.prefix, 'ip', 'route', 'replace', '10.77.2.0/24', 'via', '10.77.1.1']);
      assert.notEqual((await peer(outside)).code, 0, 'refused');
      await peer(inside);
      assert.equal(await waiting.ended(), 0);
      assert.match(waiting.stdout(), new RegExp(`got ${inside.role}`));
    });

  test('the relay of a listener with an interface is not reachable from another link', async () => {
    await using garter = await startGarter({
      host: '10.77.2.1',
      listener: ['interface: to-vpn'],
      prefix: proxy.prefix,
      config: `accept: [{ name: all, allow: true, from: [private] }]`,
    });
    const command = asking(garter, 'udp-again', TARGET.v4);
    await using client = await start([...vpn.prefix, process.execPath, ...command], {
      ready: /^relay (\S+) (\d+)$/m,
    });
    const [, host, port] = client.ready;
    // The kernel reports that there is no listener.
    const knock = `
      const socket = require('node:dgram').createSocket('udp4');
      socket.on('error', ({ code }) => { console.log(code); socket.close(); });
      socket.connect(${port}, '${host}', () => socket.send('x'));`;
    await check([...near.prefix, 'ip', 'route', 'replace', '10.77.2.0/24', 'via', '10.77.1.1']);
    const knocked = await run([...near.prefix, process.execPath, '-e', knock]);
    assert.equal(knocked.stdout, 'ECONNREFUSED\n');
    await until(
      () => Promise.resolve(/got near hears/.exec(client.stdout()) ?? undefined),
      () => client.stdout(),
    );
  });

  test('the user of run-as needs no capability for it', async () => {
    await using directory = await makeDirectory();
    await chown(directory.path, Number(await check(['id', '-u', 'nobody'])), 0);
    const config = join(directory.path, 'garter.yaml');
    await writeFile(
      config,
      `listen: [{ address: 127.0.0.1:0 }]
run-as: nobody
log: { to: { file: garter.log } }
routes: [{ to: [any], via: direct, egress: to-vpn }]
`,
    );
    await using garter = await start([...proxy.prefix, garterCommand, 'serve', '--config', config], {
      ready: /^garter listening on 127\.0\.0\.1:(\d+)$/m,
    });
    assert.match(await readFile(`/proc/${garter.pid}/status`, 'utf8'), /^CapEff:\t0+$/m);
    const command = asking({ host: '127.0.0.1', port: garter.ready[1]! }, 'connect', TARGET.v4);
    const said = await check([...proxy.prefix, process.execPath, ...command]);
    assert.match(said, /vpn hears 10\.77\.2\.1: hello/);
  });
});

function asking(
  { host, port }: { readonly host: string; readonly port: number | string },
  command: string,
  to: string,
): readonly string[] {
  return [through, host, String(port), command, to, String(ECHO_PORT)];
}
