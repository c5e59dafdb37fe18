import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { dumpPage } from './chromium.ts';
import { far, page, startNetwork, type Network } from './network.ts';

suite('Chromium', () => {
  let network: Network;
  before(async () => {
    network = await startNetwork({
      rules: `  - { name: page, allow: connect, to: [${far.name}], port: [80] }`,
    });
  });
  after(() => network[Symbol.asyncDispose]());

  test('loads a page by name; hosts that it contacts by itself are refused', async () => {
    const { stdout, stderr } = await dumpPage(
      network.client,
      join(network.directory, 'profile'),
      `http://${far.name}/`,
      [
        `--proxy-server=socks5://${network.proxy}`,
        '--proxy-bypass-list=<-loopback>',
        `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${network.garter.host}`,
      ],
    );
    assert.ok(stdout.includes(page.trim()), stdout + stderr);
    await network.garter.record({ command: 'connect', rule: 'page', destination: `${far.name}:80` });
    const others = (await network.garter.records()).filter(({ rule }) => rule !== 'page');
    assert.deepEqual(
      others.filter(({ address, bound }) => address !== undefined || bound !== undefined),
      [],
      'nothing else was dialled',
    );
  });
});
