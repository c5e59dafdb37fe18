import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { associate } from '../support/datagrams.ts';
import { startGarter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import {
  Command,
  connectThrough,
  RawClient,
  readAddress,
  replyCode,
  request4,
  request5,
} from '../support/raw.ts';
import { startBlackHole, startTarget } from '../support/targets.ts';

suite('who ended it', () => {
  test('a client that resets is to blame, whatever garter was doing for it', async () => {
    await using hole = await startBlackHole();
    await using garter = await startGarter();
    using dialling = await RawClient.connect(garter);
    dialling.send('05 01 00', request5(Command.connect, hole.host, hole.port));
    using binding = await RawClient.connect(garter);
    binding.send('05 01 00', request5(Command.bind, '127.0.0.1', 0));
    await binding.expect('05 00  05 00 00');
    using association = await associate(garter);
    await dialling.expect('05 00');
    await delay(100);
    for (const client of [dialling, binding, association.control]) client.reset();
    await garter.record({ command: 'connect', end: 'client:dial:ECONNRESET' });
    await garter.record({ command: 'bind', end: 'client:bind:ECONNRESET' });
    await garter.record({ command: 'udp', end: 'client:relay:ECONNRESET' });
  });

  test('SOCKS4 has no UDP and no names in its replies', async () => {
    await using garter = await startGarter();
    for (const command of [Command.associate, Command.resolvePtr]) {
      assert.equal(await replyCode(garter, request4(command, '127.0.0.1', 0)), 91);
    }
    await garter.record({ command: '3', end: 'client:request:command' });
  });
});

suite('BIND for anybody', () => {
  test("is counted under the peer's own rule, and ended with it", async () => {
    await using garter = await startGarter({
      config: `rules:
  - { name: named, allow: bind, to: [192.0.2.0/24] }
  - { name: here, allow: bind, to: [loopback], limit: { sessions: 1 } }`,
    });
    const bind = async (): Promise<readonly [RawClient, RawClient]> => {
      const client = await RawClient.connect(garter);
      client.send('05 01 00', request5(Command.bind, '0.0.0.0', 0));
      await client.expect('05 00  05 00 00');
      return [client, await RawClient.connect(await readAddress(client))];
    };
    const [first, peer] = await bind();
    await first.expect('05 00 00');
    const [second, refused] = await bind();
    await second.expect('05 02 00');
    await refused.gone();
    await garter.record({ rule: 'here', end: 'limit:bind:sessions' });
    first.reset();
    await peer.gone();
    await garter.record({ rule: 'here', command: 'bind' });
  });
});

suite('the end of a stream', () => {
  test('a slow reader gets all of it, though half-close ends the relay', async () => {
    const size = 3_000_000;
    await using target = await startTarget((socket) => socket.end(Buffer.alloc(size, 'x')));
    await using garter = await startGarter({ config: 'timeouts: { half-close: 1s }' });
    using client = await connectThrough(garter, target);
    client.socket.pause();
    await garter.record({ end: 'timeout:relay:half-close' });
    client.socket.resume();
    assert.equal((await client.rest()).length, size);
  });
});

test('a user who goes between password and request gets nothing', async () => {
  await using garter = await startGarter({
    users: { alice: 'secret', bob: 'secret' },
    config: 'rules: [{ allow: any, to: [loopback] }]',
  });
  using alice = await RawClient.connect(garter);
  alice.send('05 01 02', '01 05', Buffer.from('alice'), '06', Buffer.from('secret'));
  await alice.expect('05 02  01 00');
  const file = `${garter.directory}/users.txt`;
  await writeFile(file, (await readFile(file, 'utf8')).replace(/^alice.*\n/m, ''));
  await alice.gone();
  await until(
    async () => (await garter.records()).find(({ end }) => end === 'policy:request:user-gone'),
    () => 'no record',
  );
});
