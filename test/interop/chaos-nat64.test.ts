import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { check, run, start, type Outcome } from '../support/process.ts';
import { addCable, addMachine, addRoute, tune } from './machine.ts';
import { page, startNetwork, type Network } from './network.ts';

/** Two addresses of a machine with IPv4 only. */
const OPEN = { name: 'open.far.test', v4: '192.31.196.2', v6: '64:ff9b::c01f:c402' };
const DENIED = { name: 'denied.far.test', v4: '192.31.196.130', v6: '64:ff9b::c01f:c482' };

// NAT64 needs a TUN device. The server machine is the translator, and answers names like DNS64.
suite('NAT64', () => {
  const resources = new AsyncDisposableStack();
  let network: Network;
  before(async () => {
    network = resources.use(
      await startNetwork({
        families: [6],
        names: [OPEN, DENIED].map(({ name, v6 }) => `${name},${v6}`),
        rules: `
  - { name: no-upper-half, deny: any, to: [192.31.196.128/25] }
  - { name: all, allow: connect, to: [any] }`,
      }),
    );
    const translator = network.machines.server;
    const target = resources.use(await addMachine('target'));
    await addCable(
      { at: translator, addresses: ['192.31.196.1/24'] },
      { at: target, addresses: [`${OPEN.v4}/24`, `${DENIED.v4}/24`] },
    );
    const config = join(network.directory, 'tayga.conf');
    await writeFile(
      config,
      `tun-device nat64
ipv4-addr 192.0.2.1
ipv6-addr fd77:64::1
prefix 64:ff9b::/96
dynamic-pool 203.0.113.0/24
data-dir ${network.directory}
`,
    );
    await check([...translator.prefix, 'tayga', '--mktun', '--config', config]);
    await check([...translator.prefix, 'ip', 'link', 'set', 'nat64', 'up']);
    for (const pool of ['203.0.113.0/24', '64:ff9b::/96']) {
      await check([...translator.prefix, 'ip', 'route', 'add', pool, 'dev', 'nat64']);
    }
    await tune(translator, 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    await addRoute(network.machines.proxy, '64:ff9b::/96', 'fd77:2::2');
    await addRoute(target, '203.0.113.0/24', '192.31.196.1');
    resources.use(
      await start([...translator.prefix, 'stdbuf', '-oL', 'tayga', '-d', '--config', config], {
        ready: /NAT64 prefix/,
      }),
    );
    const web = ['python3', '-u', '-m', 'http.server', '80', '--directory', network.webRoot];
    resources.use(await start([...target.prefix, ...web], { ready: /Serving HTTP/ }));
  });
  after(() => resources.disposeAsync());

  const curl = (host: string): Promise<Outcome> =>
    run([
      ...network.client,
      'curl',
      '-sS',
      '-m',
      '20',
      '-x',
      `socks5h://${network.proxy}`,
      `http://${host}/`,
    ]);

  for (const host of [OPEN.name, `[${OPEN.v6}]`]) {
    test(`${host} can be reached`, async () => {
      const { code, stdout, stderr } = await curl(host);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, page);
      await network.garter.record({ destination: `${host}:80`, address: `[${OPEN.v6}]:80`, rule: 'all' });
    });
  }

  for (const host of [DENIED.name, `[${DENIED.v6}]`]) {
    test(`${host} is refused because of its IPv4 address`, async () => {
      const { code, stderr } = await curl(host);
      assert.equal(code, 97, stderr);
      assert.match(stderr, /\(2\)/);
      const end = 'policy:request:rule';
      await network.garter.record({ destination: `${host}:80`, rule: 'no-upper-half', end });
    });
  }
});
