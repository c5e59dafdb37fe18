import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { garterCommand } from '../support/garter.ts';
import { run, start, type Daemon, type Outcome } from '../support/process.ts';
import { dumpPage } from './chromium.ts';
import { startDnsmasq } from './dnsmasq.ts';
import { far, page, startNetwork, type Network } from './network.ts';

suite('the agent of a client machine that cannot resolve names of the far side', () => {
  const resources = new AsyncDisposableStack();
  let network: Network;
  let agent: Daemon;
  let at: string;
  before(async () => {
    network = resources.use(
      await startNetwork({
        users: { alice: 's3cret' },
        rules: '  - { name: page, allow: connect, to: [any] }',
      }),
    );
    const options = ['--listen', '127.0.0.1:0', '--direct', '10.77.1.0/24', '--pac'];
    agent = resources.use(
      await start([...network.client, garterCommand, 'agent', ...options], {
        ready: /^garter listening on (127\.0\.0\.1:\d+)$/m,
        env: { GARTER_UPSTREAM: `socks5h://alice:s3cret@${network.proxy}` },
      }),
    );
    at = agent.ready[1]!;
  });
  after(() => resources.disposeAsync());

  const curl = (...args: readonly string[]): Promise<Outcome> =>
    run([...network.client, 'curl', '-sS', '-m', '10', ...args]);

  test('curl: a page by name, with the login of the agent', async () => {
    const { code, stdout, stderr } = await curl('-x', `socks5h://${at}`, `http://${far.name}/`);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, page);
    const { user } = await network.garter.record({ destination: `${far.name}:80` });
    assert.equal(user, 'alice');
  });

  test('curl: proxy.pac, but not under the name of a site', async () => {
    const pac = await curl(`http://${at}/proxy.pac`);
    assert.match(pac.stdout, /isInNet\(host, "10\.77\.1\.0", "255\.255\.255\.0"\)\) return "DIRECT"/);
    const { stdout } = await curl('-H', 'Host: evil.example', `http://${at}/proxy.pac`);
    assert.match(stdout, /SOCKS/);
    assert.doesNotMatch(stdout, /FindProxyForURL/);
  });

  test('Chromium: a page, using proxy.pac', async () => {
    const { stdout, stderr } = await dumpPage(
      network.client,
      join(network.directory, 'profile'),
      `http://${far.name}/`,
      [`--proxy-pac-url=http://${at}/proxy.pac`],
    );
    assert.ok(stdout.includes(page.trim()), stdout + stderr);
    await network.garter.record({ command: 'connect', destination: `${far.name}:80` });
  });

  test('none of it is in the log', () => {
    assert.doesNotMatch(agent.stderr(), /far\.test|client=|s3cret/);
  });
});

test('the agent of a client machine only needs a domain', async () => {
  await using stack = new AsyncDisposableStack();
  const network = stack.use(await startNetwork());
  const { client } = network.machines;
  // `ip netns exec` mounts it as /etc/resolv.conf.
  const etc = join('/etc/netns', client.namespace);
  await mkdir(etc, { recursive: true });
  stack.defer(() => rm(etc, { recursive: true }));
  await writeFile(join(etc, 'resolv.conf'), 'nameserver 127.0.0.1\n');
  const records = [
    '--listen-address=127.0.0.1',
    '--bind-interfaces',
    '--local=/#/',
    `--srv-host=_socks5._tcp.example.org,proxy.example.org,${network.garter.port}`,
    '--host-record=proxy.example.org,10.77.1.1',
  ];
  stack.use(await startDnsmasq(records, client.prefix));
  const agent = stack.use(
    await start([...client.prefix, garterCommand, 'agent', '--listen', '127.0.0.1:0'], {
      ready: /^garter listening on (127\.0\.0\.1:\d+)$/m,
      env: { GARTER_DISCOVER: 'example.org' },
    }),
  );
  const curl = ['curl', '-sS', '-m', '10', '-x', `socks5h://${agent.ready[1]}`, `http://${far.name}/`];
  const { code, stdout, stderr } = await run([...client.prefix, ...curl]);
  assert.equal(code, 0, stderr + agent.stderr());
  assert.equal(stdout, page);
  await network.garter.record({ destination: `${far.name}:80` });
});
