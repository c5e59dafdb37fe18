import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { run } from '../support/process.ts';
import { far, page, startNetwork, type Network } from './network.ts';

suite('netcat', () => {
  let network: Network;
  before(async () => {
    network = await startNetwork();
  });
  after(() => network[Symbol.asyncDispose]());

  const programs = [
    { title: 'nc -X 4', command: (proxy: string) => ['nc.openbsd', '-X', '4', '-x', proxy], host: far.v4 },
    { title: 'nc -X 5', command: (proxy: string) => ['nc.openbsd', '-X', '5', '-x', proxy], host: far.name },
    {
      title: 'ncat --proxy-type socks4',
      command: (proxy: string) => ['ncat', '--proxy', proxy, '--proxy-type', 'socks4'],
      host: far.v4,
    },
    {
      title: 'ncat --proxy-type socks5',
      command: (proxy: string) => [
        'ncat',
        '--proxy',
        proxy,
        '--proxy-type',
        'socks5',
        '--proxy-dns',
        'remote',
      ],
      host: far.name,
    },
  ];
  for (const { title, command, host } of programs) {
    test(title, async () => {
      const input = 'GET / HTTP/1.0\r\n\r\n';
      const { stdout, stderr } = await run([...network.client, ...command(network.proxy), host, '80'], {
        input,
      });
      assert.ok(stdout.endsWith(`\r\n\r\n${page}`), stdout + stderr);
      const record = await network.garter.record({ command: 'connect', destination: `${host}:80` });
      assert.equal(record.sent, input.length);
      assert.equal(record.received, stdout.length);
    });
  }
});
