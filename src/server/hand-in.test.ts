import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server as TcpServer, Socket } from 'node:net';
import { suite, test } from 'node:test';
import { startEcho } from '../../test/support/targets.ts';
import { settingsOf } from '../../test/support/settings.ts';
import { Server } from './server.ts';
import type { Settings } from './settings.ts';

function settingsWith(options: object): Settings {
  const engine = process.env.GARTER_ENGINE ?? 'auto';
  const listen = [{ address: '127.0.0.1:0' }];
  return settingsOf({ listen, engine, workers: 1, log: { level: 'error' }, ...options });
}

/** Accepts connections outside the server. */
async function startAcceptor(accepted: (socket: Socket) => void): Promise<TcpServer & AsyncDisposable> {
  const acceptor = createServer({ pauseOnConnect: true }, accepted).listen(0, '127.0.0.1');
  await once(acceptor, 'listening');
  return acceptor;
}

const portOf = (acceptor: TcpServer): number => (acceptor.address() as AddressInfo).port;

/** All bytes received after a CONNECT and five bytes of data. */
async function ask(port: number, target: number): Promise<Buffer> {
  const socket = connect(port, '127.0.0.1');
  const request = Buffer.from('050100050100017f000001', 'hex');
  socket.end(Buffer.concat([request, Buffer.of(target >> 8, target & 255), Buffer.from('early')]));
  const heard: Uint8Array[] = [];
  for await (const bytes of socket) heard.push(bytes as Uint8Array);
  return Buffer.concat(heard);
}

suite('a connection accepted outside the server', () => {
  test("is served like the listener's own, including half-close, and recorded under that listener", async () => {
    await using echo = await startEcho();
    const rules = [{ name: 'here', allow: 'any', to: ['loopback'] }];
    await using server = await Server.start(settingsWith({ rules }));
    const taken: unknown[] = [];
    server.journal.subscribe({ take: ({ listener, rule, end }) => taken.push([listener, rule, end]) });
    await using acceptor = await startAcceptor((socket) => server.handIn(socket, server.places[0]!));
    const heard = await ask(portOf(acceptor), echo.port);
    assert.equal(heard.subarray(0, 4).toString('hex'), '05000500');
    assert.equal(heard.subarray(-5).toString(), 'early');
    await server.close();
    assert.deepEqual(taken.at(-1), [`127.0.0.1:${portOf(acceptor)}`, 'here', 'client:relay']);
  });

  test('is subject to the accept rules', async () => {
    const accept = [{ name: 'nobody', allow: false }];
    await using server = await Server.start(settingsWith({ accept }));
    const ends: unknown[] = [];
    server.journal.subscribe({ take: ({ end }) => ends.push(end) });
    await using acceptor = await startAcceptor((socket) => server.handIn(socket, server.places[0]!));
    const socket = connect(portOf(acceptor), '127.0.0.1').on('error', () => {});
    await once(socket, 'close');
    assert.deepEqual(ends, ['policy:accept:nobody']);
  });

  test('for an address without a listener throws', async () => {
    await using server = await Server.start(settingsWith({}));
    const error = Promise.withResolvers<unknown>();
    await using acceptor = await startAcceptor((socket) => {
      try {
        server.handIn(socket, '192.0.2.1:1');
      } catch (thrown) {
        error.resolve(thrown);
      }
      socket.destroy();
    });
    const socket = connect(portOf(acceptor), '127.0.0.1').on('error', () => {});
    assert.match(String(await error.promise), /^RangeError: there is no listener at 192\.0\.2\.1:1/);
    socket.destroy();
  });
});
