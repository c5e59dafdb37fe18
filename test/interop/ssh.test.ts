import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { garterCommand } from '../support/garter.ts';
import { run } from '../support/process.ts';
import { far, startNetwork, type Network } from './network.ts';
import { sshWithKey, startSshd } from './sshd.ts';

suite('ssh with a ProxyCommand', () => {
  const resources = new AsyncDisposableStack();
  let network: Network;
  before(async () => {
    network = resources.use(await startNetwork());
    resources.use(await startSshd(network.server, far.v4, network.directory));
  });
  after(() => resources.disposeAsync());

  const proxyCommands = [
    { title: 'nc -X 5', proxyCommand: (proxy: string) => `nc.openbsd -X 5 -x ${proxy} %h %p` },
    { title: 'nc -X 4', proxyCommand: (proxy: string) => `nc.openbsd -X 4 -x ${proxy} %h %p` },
    { title: 'ncat', proxyCommand: (proxy: string) => `ncat --proxy ${proxy} --proxy-type socks5 %h %p` },
    {
      title: 'garter connect',
      proxyCommand: (proxy: string) => `${garterCommand} connect --proxy socks5h://${proxy} %h %p`,
    },
  ];
  for (const { title, proxyCommand } of proxyCommands) {
    test(title, async () => {
      const client = sshWithKey(network.directory, [`ProxyCommand=${proxyCommand(network.proxy)}`]);
      const ssh = [...client, `root@${far.v4}`, 'echo $SSH_CONNECTION; cat'];
      const input = 'a line\n'.repeat(100_000);
      const { code, stdout, stderr } = await run([...network.client, ...ssh], { input });
      assert.equal(code, 0, stderr);
      const record = await network.garter.record({ command: 'connect', destination: `${far.v4}:22` });
      const [host, port] = stdout.split('\n')[0]!.split(' ');
      assert.equal(`${host}:${port}`, record.bound, 'sshd saw garter');
      assert.equal(stdout.slice(stdout.indexOf('\n') + 1), input);
      assert.ok(record.sent > input.length && record.received > input.length, JSON.stringify(record));
    });
  }
});
