import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { suite, test } from 'node:test';
import { closedPort } from '../../test/support/targets.ts';
import { settingsOf } from '../../test/support/settings.ts';
import { Server } from './server.ts';
import type { Settings } from './settings.ts';

function settingsAt(port: number, workers: 'auto' | number = 'auto'): Settings {
  const engine = process.env.GARTER_ENGINE ?? 'auto';
  const config = { listen: [{ address: `127.0.0.1:${port}` }], log: { level: 'error' }, engine, workers };
  return settingsOf(config);
}

async function assertClosed(port: number): Promise<void> {
  await assert.rejects(once(connect(port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' });
}

suite('reload', () => {
  test('a server that is closed during a reload leaves nothing open', async () => {
    for (let turns = 0; turns < 20; turns++) {
      // Sometimes with all threads, which are expensive.
      const workers = turns % 4 === 0 ? 'auto' : 1;
      const server = await Server.start(settingsAt(0, workers));
      const port = await closedPort();
      const reloading = Promise.allSettled([server.reload(settingsAt(port, workers))]);
      for (let i = 0; i < turns; i++) await Promise.resolve();
      await server.close();
      await reloading;
      await assertClosed(port);
    }
  });

  test('two concurrent reloads: the second is in force, and nothing remains of the first', async () => {
    const [one, two] = [await closedPort(), await closedPort()];
    await using server = await Server.start(settingsAt(0));
    await Promise.all([server.reload(settingsAt(one)), server.reload(settingsAt(two))]);
    assert.deepEqual(
      server.addresses.map(({ port }) => port),
      [two],
    );
    await assertClosed(one);
  });
});
