import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { check } from '../support/process.ts';
import { far, startNetwork, type Network } from './network.ts';

suite('git', () => {
  let network: Network;
  before(async () => {
    network = await startNetwork();
    const work = join(network.directory, 'work');
    const git = ['git', '-C', work, '-c', 'user.name=a', '-c', 'user.email=a@far.test'];
    await check(['git', 'init', '-q', work]);
    await writeFile(join(work, 'file.txt'), 'from the far side\n');
    await check([...git, 'add', '.']);
    await check([...git, 'commit', '-q', '-m', 'first']);
    const bare = join(network.webRoot, 'work.git');
    await check(['git', 'clone', '-q', '--bare', work, bare]);
    await check(['git', '-C', bare, 'update-server-info']);
  });
  after(() => network[Symbol.asyncDispose]());

  test('clone over http.proxy=socks5h', async () => {
    const clone = join(network.directory, 'clone');
    const proxy = `http.proxy=socks5h://${network.proxy}`;
    await check([...network.client, 'git', '-c', proxy, 'clone', '-q', `http://${far.name}/work.git`, clone]);
    assert.equal(await readFile(join(clone, 'file.txt'), 'utf8'), 'from the far side\n');
    await network.garter.record({ command: 'connect', destination: `${far.name}:80` });
  });
});
