import assert from 'node:assert/strict';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { check, run, start } from '../support/process.ts';
import { far, startNetwork, type Network } from './network.ts';

suite('ssh with a ProxyCommand', () => {
  const resources = new AsyncDisposableStack();
  let network: Network;
  before(async () => {
    network = resources.use(await startNetwork());
    const { directory } = network;
    const [hostKey, userKey, authorized] = ['host', 'user', 'authorized'].map((name) =>
      join(directory, name),
    );
    for (const key of [hostKey!, userKey!])
      await check(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key]);
    await copyFile(`${userKey}.pub`, authorized!);
    await mkdir('/run/sshd', { recursive: true }); // sshd's chroot, made at boot where sshd is a service
    const options = [
      'Port=22',
      `ListenAddress=${far.v4}`,
      `HostKey=${hostKey}`,
      `AuthorizedKeysFile=${authorized}`,
      'StrictModes=no',
      'PidFile=none',
    ].flatMap((option) => ['-o', option]);
    const sshd = ['/usr/sbin/sshd', '-D', '-e', '-f', '/dev/null', ...options];
    resources.use(await start([...network.server, ...sshd], { ready: /Server listening/ }));
  });
  after(() => resources.disposeAsync());

  const proxyCommands = [
    { title: 'nc -X 5', proxyCommand: (proxy: string) => `nc.openbsd -X 5 -x ${proxy} %h %p` },
    { title: 'nc -X 4', proxyCommand: (proxy: string) => `nc.openbsd -X 4 -x ${proxy} %h %p` },
    { title: 'ncat', proxyCommand: (proxy: string) => `ncat --proxy ${proxy} --proxy-type socks5 %h %p` },
  ];
  for (const { title, proxyCommand } of proxyCommands) {
    test(title, async () => {
      const options = [
        `ProxyCommand=${proxyCommand(network.proxy)}`,
        `IdentityFile=${join(network.directory, 'user')}`,
        'StrictHostKeyChecking=no',
        'UserKnownHostsFile=/dev/null',
        'BatchMode=yes',
      ].flatMap((option) => ['-o', option]);
      const ssh = ['ssh', '-F', 'none', ...options, `root@${far.v4}`, 'echo $SSH_CONNECTION; cat'];
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
