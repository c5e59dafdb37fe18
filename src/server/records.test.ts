import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeDirectory } from '../../test/support/directory.ts';
import { until } from '../../test/support/process.ts';
import { settingsOf } from '../../test/support/settings.ts';
import { Server } from './server.ts';
import type { Settings } from './settings.ts';

const ENGINE = process.env.GARTER_ENGINE ?? 'auto';

function settingsWith(log: readonly string[], options: object): Settings {
  const rules = [{ name: 'closed', deny: 'any', to: ['any'], log }];
  return settingsOf({ listen: [{ address: '127.0.0.1:0' }], rules, ...options });
}

/** A connection that the rules refuse. */
async function ask(server: Server): Promise<void> {
  const socket = connect(server.addresses[0]!.port, '127.0.0.1');
  socket.write(Buffer.from('05010005010001c00002010050', 'hex'));
  socket.resume();
  await once(socket, 'close');
}

suite('every subscriber gets each record, and the log gets a line only if the rule has one', () => {
  for (const [engine, workers] of [
    [ENGINE, 1],
    // Only the fast engine has threads.
    ['fast', 2],
  ] as const) {
    for (const log of [[], ['error']]) {
      test(`${engine}, ${workers} threads, log: [${log.join()}]`, async () => {
        await using directory = await makeDirectory();
        const file = join(directory.path, 'log');
        const settings = settingsWith(log, { engine, workers, log: { to: { file } } });
        const taken: unknown[] = [];
        const server = await Server.start(settings);
        server.journal.subscribe({
          take: ({ rule, end }, event, silenced) => taken.push([event, rule, end, silenced]),
        });
        await server.reload(settings);
        for (let i = 0; i < 4; i++) await ask(server);
        await until(
          () => (taken.length < 4 ? undefined : true),
          () => 'records are missing',
        );
        await server.close();
        const record = ['error', 'closed', 'policy:request:rule', log.length === 0];
        assert.deepEqual(
          taken,
          Array.from({ length: 4 }, () => record),
        );
        const lines = readFileSync(file, 'utf8').match(/ error id=/g) ?? [];
        assert.equal(lines.length, log.length === 0 ? 0 : 4);
      });
    }
  }
});
