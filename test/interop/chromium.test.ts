import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { run } from '../support/process.ts';
import { far, page, startNetwork, type Network } from './network.ts';

suite('Chromium', () => {
  let network: Network;
  before(async () => {
    network = await startNetwork({
      rules: `  - { name: page, allow: connect, to: [${far.name}], port: [80] }`,
    });
  });
  after(() => network[Symbol.asyncDispose]());

  test('loads a page by name; the hosts that it asks for by itself are refused', async () => {
    const chromium = [
      'chromium',
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--user-data-dir=${join(network.directory, 'profile')}`,
      `--proxy-server=socks5://${network.proxy}`,
      '--proxy-bypass-list=<-loopback>',
      `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${network.garter.host}`,
      '--dump-dom',
      `http://${far.name}/`,
    ];
    const { stdout, stderr } = await run([...network.client, ...chromium], { timeout: 60_000 });
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
