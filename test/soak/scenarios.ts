import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { Command, RawClient, readAddress, request4, request5 } from '../support/raw.ts';

export interface Place {
  readonly host: string;
  readonly port: number;
}

export interface Scene {
  readonly proxy: Place;
  /** Whether the proxy speaks TLS. */
  readonly tls: boolean;
  /** Echoes everything. */
  readonly echo: Place;
  /** The same, but denied by every other configuration. */
  readonly revoked: Place;
  /** Sends a megabyte and ends. */
  readonly source: Place;
  /**
   * Faulty relays in front of the echo: one that is late and sends in pieces, and one that stops in the
   * middle without closing.
   */
  readonly late: Place;
  readonly halfOpen: Place;
  readonly datagramEcho: Place;
}

/** The result of a visit to the proxy if it is an expected one; anything else is thrown. */
export type Outcome = 'ok' | 'refused' | 'reset' | 'revoked';

/** A kind of client; `weight` is its share in percent. */
export interface Scenario {
  readonly name: string;
  readonly weight: number;
  run(scene: Scene): Promise<Outcome>;
}

const NO_AUTH = '05 01 00';
const PASSWORD = 'secret';

function login(password: string): Buffer {
  return Buffer.concat([
    Buffer.of(1, 5),
    Buffer.from('alice'),
    Buffer.of(password.length),
    Buffer.from(password),
  ]);
}

async function open(scene: Scene): Promise<RawClient> {
  return openFrom(scene, `127.0.0.${2 + Math.floor(Math.random() * 50)}`);
}

function openFrom({ proxy, tls }: Scene, from: string): Promise<RawClient> {
  return tls ? RawClient.connectTls(proxy, from) : RawClient.connect(proxy, from);
}

/** Connects by SOCKS5, up to the reply. */
async function connect5(scene: Scene, to: Place): Promise<RawClient> {
  using guard = new DisposableStack();
  const client = guard.use(await open(scene));
  client.send(NO_AUTH, request5(Command.connect, to.host, to.port));
  await client.expect('05 00');
  const [, code] = await client.read(3);
  await readAddress(client);
  if (code !== 0) throw new Error(`reply ${code}`);
  guard.move();
  return client;
}

/** Sends data there and back, and ends in order. */
async function converse(client: RawClient, size = 1000): Promise<Outcome> {
  const data = randomBytes(size);
  client.send(data);
  await client.expect(data);
  client.end();
  await client.rest();
  return 'ok';
}

async function socks4(scene: Scene, host: string): Promise<Outcome> {
  using client = await open(scene);
  client.send(request4(Command.connect, host, scene.echo.port));
  await client.expect('00 5a');
  await client.read(6);
  return await converse(client);
}

async function bind(scene: Scene, version: 4 | 5): Promise<Outcome> {
  using client = await open(scene);
  if (version === 5) client.send(NO_AUTH, request5(Command.bind, '127.0.0.1', 0));
  else client.send(request4(Command.bind, '127.0.0.1', 0));
  let at: Place;
  if (version === 5) {
    await client.expect('05 00  05 00 00');
    at = await readAddress(client);
  } else {
    await client.expect('00 5a');
    at = { port: (await client.read(2)).readUInt16BE(), host: (await client.read(4)).join('.') };
  }
  using peer = await RawClient.connect(at);
  peer.send(Buffer.from('from the peer'));
  peer.end();
  await client.read(version === 5 ? 10 : 8);
  await client.expect(Buffer.from('from the peer'));
  client.end();
  await client.rest();
  await peer.rest();
  return 'ok';
}

export const scenarios: readonly Scenario[] = [
  {
    name: 'connect',
    weight: 30,
    run: async (scene) => {
      using client = await connect5(scene, scene.echo);
      return await converse(client);
    },
  },
  {
    name: 'connect by name',
    weight: 10,
    run: async (scene) => {
      using client = await connect5(scene, { host: 'localhost', port: scene.echo.port });
      return await converse(client);
    },
  },
  { name: 'socks4', weight: 5, run: (scene) => socks4(scene, '127.0.0.1') },
  { name: 'socks4a', weight: 5, run: (scene) => socks4(scene, 'localhost') },
  {
    name: 'login',
    weight: 8,
    run: async (scene) => {
      // From an address with an earlier login, which is not held up by the guesses of others.
      using client = await openFrom(scene, '127.0.3.1');
      client.send('05 01 02', login(PASSWORD), request5(Command.connect, scene.echo.host, scene.echo.port));
      await client.expect('05 02  01 00  05 00 00');
      await readAddress(client);
      return await converse(client);
    },
  },
  {
    name: 'wrong password',
    weight: 1,
    run: async (scene) => {
      // From an address of its own, which is held up longer and longer.
      using client = await openFrom(scene, '127.0.1.1');
      client.send('05 01 02', login('guess'));
      await client.expect('05 02  01 01');
      await client.rest();
      return 'refused';
    },
  },
  {
    name: 'denied',
    weight: 3,
    run: async (scene) => {
      using client = await open(scene);
      client.send(NO_AUTH, request5(Command.connect, '192.0.2.1', 80));
      await client.expect('05 00  05 02');
      await client.rest();
      return 'refused';
    },
  },
  {
    name: 'revoked',
    weight: 3,
    run: async (scene) => {
      using client = await open(scene);
      client.send(NO_AUTH, request5(Command.connect, scene.revoked.host, scene.revoked.port));
      await client.expect('05 00');
      const [, code] = await client.read(10);
      if (code === 2) return 'revoked';
      // Some last until a reload ends them.
      await Promise.race([client.gone(), delay(Math.random() * 8000)]);
      return 'revoked';
    },
  },
  { name: 'bind5', weight: 3, run: (scene) => bind(scene, 5) },
  { name: 'bind4', weight: 2, run: (scene) => bind(scene, 4) },
  {
    name: 'udp',
    weight: 5,
    run: async (scene) => {
      using association = await associate(
        scene.proxy,
        undefined,
        undefined,
        await openFrom(scene, '127.0.0.1'),
      );
      using client = await Datagrams.bind('127.0.0.1');
      const data = randomBytes(100);
      await client.send(frame(scene.datagramEcho, data), association.relay);
      const answer = await client.receive();
      if (!answer.data.subarray(10).equals(data)) throw new Error('another datagram came back');
      association.control.end();
      await association.control.rest();
      return 'ok';
    },
  },
  {
    name: 'resolve',
    weight: 2,
    run: async (scene) => {
      using client = await open(scene);
      client.send(NO_AUTH, request5(Command.resolve, 'localhost', 0));
      await client.expect('05 00  05 00 00');
      await readAddress(client);
      await client.rest();
      return 'ok';
    },
  },
  {
    name: 'reset',
    weight: 10,
    run: async (scene) => {
      const phase = Math.floor(Math.random() * 6);
      const client = phase === 3 || phase === 4 ? await connect5(scene, scene.echo) : await open(scene);
      if (phase === 1) client.send('05');
      if (phase === 2) client.send(NO_AUTH, '05 01 00');
      if (phase === 4) client.send(randomBytes(50_000));
      // All at once, while an answer of a megabyte is in transit.
      if (phase === 5) {
        const { host, port } = scene.source;
        const request = request5(Command.connect, host, port);
        client.send(NO_AUTH, request, randomBytes(Math.floor(Math.random() * 200_000)));
      }
      client.reset();
      return 'reset';
    },
  },
  {
    name: 'junk',
    weight: 4,
    run: async (scene) => {
      using client = await open(scene);
      client.send(randomBytes(1 + Math.floor(Math.random() * 600)));
      client.end();
      await client.gone();
      return 'refused';
    },
  },
  {
    name: 'byte by byte',
    weight: 3,
    run: async (scene) => {
      using client = await open(scene);
      const bytes = Buffer.concat([
        Buffer.of(5, 1, 0),
        request5(Command.connect, scene.echo.host, scene.echo.port),
      ]);
      for (const byte of bytes) {
        client.send(Buffer.of(byte));
        await delay(Math.random() * 10);
      }
      await client.expect('05 00  05 00 00');
      await readAddress(client);
      return await converse(client);
    },
  },
  {
    name: 'handshake that stops',
    weight: 1,
    run: async (scene) => {
      using client = await open(scene);
      client.send(Buffer.of(5, 1, 0, 5, 1).subarray(0, Math.floor(Math.random() * 6)));
      // The time-out of the handshake is 2 s here.
      await client.gone();
      return 'refused';
    },
  },
  {
    name: 'half-close',
    weight: 4,
    run: async (scene) => {
      using client = await connect5(scene, scene.echo);
      const data = randomBytes(100_000);
      client.send(data);
      client.end();
      if (!(await client.rest()).equals(data)) throw new Error('other bytes came back');
      return 'ok';
    },
  },
  {
    name: 'late and in pieces',
    weight: 2,
    run: async (scene) => {
      using client = await connect5(scene, scene.late);
      return await converse(client, 5000);
    },
  },
  {
    name: 'half-open',
    weight: 1,
    run: async (scene) => {
      using client = await connect5(scene, scene.halfOpen);
      client.send(randomBytes(50_000));
      // The idle time-out is 2 s here.
      await client.gone();
      return 'refused';
    },
  },
  {
    name: 'slow reader',
    weight: 1,
    run: async (scene) => {
      using client = await connect5(scene, scene.source);
      client.socket.pause();
      await delay(Math.random() * 1500);
      client.socket.resume();
      const { length } = await client.rest();
      if (length !== 1 << 20) throw new Error(`${length} bytes`);
      return 'ok';
    },
  },
];
