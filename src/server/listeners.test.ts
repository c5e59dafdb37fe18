import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingsFromObject } from '../config/load.ts';
import { Server } from './server.ts';

test('an interface is for the fast engine: without it no server starts, and none that runs takes it', async () => {
  const listen = [{ address: '127.0.0.1:0' }];
  const settings = settingsFromObject({ listen, log: { level: 'error' } }, false).settings!;
  const portable = { ...settings, engine: 'portable' } as const;
  const listeners = portable.listeners.map((listener) => ({ ...listener, interface: 'lo' }));
  const refused = /^127\.0\.0\.1:0: interface: lo needs the fast engine/;
  await assert.rejects(Server.start({ ...portable, listeners }), { message: refused });
  await using server = await Server.start(portable);
  await assert.rejects(server.reload({ ...portable, listeners }), { message: refused });
});
