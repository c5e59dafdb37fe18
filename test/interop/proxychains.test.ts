import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { run } from '../support/process.ts';
import { far, page, startNetwork, type Network } from './network.ts';

suite('proxychains4', () => {
  let network: Network;
  before(async () => {
    network = await startNetwork();
  });
  after(() => network[Symbol.asyncDispose]());

  for (const type of ['socks4', 'socks5']) {
    test(`${type}: curl by name`, async () => {
      const { host, port } = network.garter;
      const config = join(network.directory, `${type}.conf`);
      await writeFile(config, `strict_chain\nproxy_dns\n[ProxyList]\n${type} ${host} ${port}\n`);
      const curl = ['proxychains4', '-q', '-f', config, 'curl', '-sS', '-m', '10', `http://${far.name}/`];
      const { code, stdout, stderr } = await run([...network.client, ...curl]);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, page);
      await network.garter.record({ command: 'connect', destination: `${far.name}:80` });
    });
  }
});
