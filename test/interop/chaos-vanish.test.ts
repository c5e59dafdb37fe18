import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { check, start, until } from '../support/process.ts';
import { descriptors } from '../support/usage.ts';
import { deviceTo } from './machine.ts';
import { far, startNetwork, type Network } from './network.ts';

suite('a target whose link goes down', () => {
  let network: Network;
  before(async () => {
    network = await startNetwork({ timeouts: 'connect: 5s, idle: 3s' });
  });
  after(() => network[Symbol.asyncDispose]());

  const rows = [
    { title: 'while it sends', server: 'while echo tick; do sleep 0.1; done', feed: 'sleep 60' },
    { title: 'while it receives', server: 'echo tick; cat >/dev/null', feed: 'yes' },
    { title: 'while neither side sends', server: 'echo tick; cat >/dev/null', feed: 'sleep 60' },
  ];
  for (const { title, server, feed } of rows) {
    test(title, async () => {
      const { garter, machines } = network;
      const link = (state: string): Promise<string> =>
        check([...machines.server.prefix, 'ip', 'link', 'set', deviceTo(machines.proxy), state]);
      const atFirst = await descriptors(garter.process.pid);
      await using stack = new AsyncDisposableStack();
      const listen = ['ncat', '-v', '--listen', '--sh-exec', server, '7000'];
      stack.use(await start([...network.server, ...listen], { ready: /Listening on 0\.0\.0\.0/ }));
      const through = `${feed} | ncat --proxy ${network.proxy} --proxy-type socks5 ${far.v4} 7000`;
      stack.use(await start([...network.client, 'sh', '-c', through], { ready: /tick/ }));
      await link('down');
      try {
        const record = await garter.record({ command: 'connect', end: 'timeout:relay:idle' });
        assert.ok(record.received > 0);
        await until(
          async () => (await descriptors(garter.process.pid)) <= atFirst,
          () => 'descriptors are left',
        );
      } finally {
        await link('up');
      }
    });
  }
});
