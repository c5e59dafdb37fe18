import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { Command, RawClient, request5 } from '../../test/support/raw.ts';
import { startTarget } from '../../test/support/targets.ts';
import { settingsOf } from '../../test/support/settings.ts';
import { Server } from './server.ts';

test('a closed server no longer waits for name servers, including those of its routes', async () => {
  const asked = Promise.withResolvers<Socket>();
  // A name server that never completes its TLS handshake.
  await using names = await startTarget((socket) => asked.resolve(socket));
  const config = {
    listen: [{ address: '127.0.0.1:0' }],
    rules: [{ name: 'all', allow: 'any', to: ['any'] }],
    routes: [{ to: ['any'], via: 'direct', dns: [`tls://127.0.0.1:${names.port}`] }],
    resolve: { timeout: '60s' },
    timeouts: { connect: '60s' },
    log: { level: 'error' },
    engine: process.env.GARTER_ENGINE ?? 'auto',
    workers: 1,
  };
  await using server = await Server.start(settingsOf(config));
  using client = await RawClient.connect(server.addresses[0]!);
  client.send('05 01 00', request5(Command.connect, 'www.test', 80));
  const left = once((await asked.promise).resume(), 'end');
  await server.close();
  await left;
});
