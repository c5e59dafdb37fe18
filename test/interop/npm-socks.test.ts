import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { SocksClient, type SocksProxy } from 'socks';
import { startGarter, type Garter } from '../support/garter.ts';
import { startDatagramEcho, startEcho, type Target } from '../support/targets.ts';

suite('npm socks', () => {
  let garter: Garter;
  let echo: Target;
  before(async () => {
    garter = await startGarter();
    echo = await startEcho();
  });
  after(async () => {
    await echo[Symbol.asyncDispose]();
    await garter[Symbol.asyncDispose]();
  });

  for (const type of [4, 5] as const) {
    const proxy = (): SocksProxy => ({ host: garter.host, port: garter.port, type });

    test(`version ${type}: CONNECT`, async () => {
      const { socket } = await SocksClient.createConnection({
        proxy: proxy(),
        command: 'connect',
        destination: { host: echo.host, port: echo.port },
      });
      assert.equal(await exchange(socket, socket, 'connected'), 'connected');
      await garter.record({
        command: 'connect',
        destination: `${echo.host}:${echo.port}`,
        sent: 9,
        received: 9,
      });
    });

    test(`version ${type}: BIND`, async () => {
      const destination = { host: '127.0.0.1', port: 0 };
      const client = new SocksClient({ proxy: proxy(), command: 'bind', destination });
      const bound = event(client, 'bound');
      const established = event(client, 'established');
      client.connect();
      const { remoteHost: at } = await bound;
      const peer = connect({ host: at.host, port: at.port });
      const { socket, remoteHost } = await established;
      assert.equal(remoteHost.port, peer.localPort, 'the second reply names the peer');
      socket.resume();
      assert.equal(await exchange(peer, socket, 'from outside'), 'from outside');
      await garter.record({ command: 'bind', bound: `${at.host}:${at.port}`, received: 12 });
    });
  }

  test('version 5: UDP ASSOCIATE', async () => {
    await using target = await startDatagramEcho();
    const client = new SocksClient({
      proxy: { host: garter.host, port: garter.port, type: 5 },
      command: 'associate',
      destination: { host: '0.0.0.0', port: 0 },
    });
    const established = event(client, 'established');
    client.connect();
    const { socket, remoteHost: relay } = await established;
    const local = createSocket('udp4');
    const remoteHost = { host: target.host, port: target.port };
    const answer = new Promise<Buffer>((resolve) => local.once('message', resolve));
    const frame = SocksClient.createUDPFrame({ remoteHost, data: Buffer.from('a datagram') });
    local.send(frame, relay.port, relay.host);
    const { remoteHost: sender, data } = SocksClient.parseUDPFrame(await answer);
    assert.deepEqual(sender, remoteHost);
    assert.equal(data.toString(), 'a datagram');
    local.close();
    socket.destroy();
    await garter.record({ command: 'udp', sent: 10, received: 10 });
  });
});

interface Established {
  readonly socket: Socket;
  readonly remoteHost: { readonly host: string; readonly port: number };
}

async function event(client: SocksClient, name: 'bound' | 'established'): Promise<Established> {
  const [info]: Established[] = await once(client, name);
  return info!;
}

/** Sends `text` from one end, ends there, and returns what arrives at the other. */
async function exchange(from: Socket, to: Socket, text: string): Promise<string> {
  from.end(text);
  const chunks: Buffer[] = await to.toArray();
  return Buffer.concat(chunks).toString();
}
