import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { MemoryClient } from '../../test/support/memory-client.ts';
import { MemoryEngine } from '../../test/support/memory-engine.ts';
import { parseHex } from '../../test/support/raw.ts';
import { Spare } from '../limits/spare.ts';
import type { Connection } from '../net/engine.ts';
import { compile } from '../policy/compile.ts';
import type { Command } from '../policy/policy.ts';
import { addressOf } from '../wire/address.ts';
import { formatIp, parseIp } from '../wire/ip.ts';
import type { Credentials } from '../wire/password.ts';
import { encodeSocks5Reply, Reply } from '../wire/socks5.ts';
import { judge } from './judge.ts';
import type { RoutedPermit } from './judge.ts';
import type { RouteOptions, ServerOptions, UpstreamOptions } from './options.ts';
import { describePath, Outbound } from './outbound.ts';
import type { Dialled, OutboundClient, OutboundSettings } from './outbound.ts';

const TARGET = '203.0.113.1';
const OTHER = '203.0.113.2';
const HERE = '192.0.2.1';
const CLIENT = '198.51.100.7';

const POLICY = compile({
  rules: [{ name: 'all', action: 'allow', to: ['203.0.113.0/24', '.test'], log: [], revoke: 'close' }],
});
const PORTS = { isSelf: () => false, isOwnPort: () => false };

function server(host: string, more: Partial<ServerOptions> = {}): ServerOptions {
  const at = { host, port: 1080 };
  return {
    type: 'server',
    label: `socks5://${host}:1080`,
    protocol: 'socks5',
    passesNames: false,
    at,
    ...more,
  };
}

function route(via: RouteOptions['via'], more: Partial<RouteOptions> = {}): RouteOptions {
  const label = via === 'direct' ? 'direct' : 'up';
  return { name: label, label, via, to: ['any', '203.0.113.0/24', '.test'], resolvesHere: false, ...more };
}

function settings(routes?: readonly RouteOptions[]): OutboundSettings {
  return { resolve: { family: 'any', timeout: 1000 }, policy: {}, ...(routes && { routes }) };
}

/** Records the routes that it is given. */
class Client implements OutboundClient {
  readonly stop = new AbortController();
  readonly signal = this.stop.signal;
  readonly ip = parseIp(CLIENT)!;
  readonly remote = { host: CLIENT, port: 50_000 };
  readonly local = { host: HERE, port: 1080 };
  readonly asker = (): readonly string[] => [CLIENT];
  readonly credentials: Credentials = { username: 'ann', password: 'x' };
  readonly told: string[] = [];
  release: (() => void) | undefined;

  goesBy(label: string, release?: () => void): void {
    this.told.push(label);
    this.release ??= release;
  }
}

class Scene {
  readonly engine = new MemoryEngine();
  readonly outbound: Outbound;
  readonly client = new Client();

  constructor(routes?: readonly RouteOptions[]) {
    const { engine } = this;
    this.outbound = new Outbound(
      { engine, spare: new Spare(8), isOwnPort: (ip) => formatIp(ip) === HERE },
      settings(routes),
    );
  }

  /** The permit for a host, whose name resolves to these addresses. */
  routed(host: string, command: Command = 'connect', addresses: readonly string[] = []): RoutedPermit {
    const ip = parseIp(host);
    const destination =
      ip === undefined
        ? ({ type: 'name', name: host, port: 80 } as const)
        : ({ type: 'ip', ip, port: 80 } as const);
    const facts = {
      listener: '',
      client: this.client.ip,
      sourcePort: 1,
      protocol: 'socks5',
      method: 'none',
      groups: [],
      command,
      time: 0,
    } as const;
    const basis = { policy: POLICY, ports: PORTS, outbound: this.outbound };
    const judging = judge(basis, { facts: () => facts }, command, destination);
    let step = judging.next();
    while (step.done !== true) step = judging.next(addresses.map((one) => parseIp(one)!));
    assert.ok(step.value.type === 'allow');
    return step.value;
  }

  async connect(host: string, addresses: readonly string[] = [], milliseconds?: number): Promise<Dialled> {
    return this.outbound.connect(this.routed(host, 'connect', addresses), this.client, soon(milliseconds));
  }

  /** A listener at this address. */
  async listen(
    host: string,
    port: number,
    accepted: (connection: Connection) => void = () => {},
  ): Promise<void> {
    await this.engine.listen({ host, port }, accepted);
  }

  /** A SOCKS5 server; returns the requests that it receives. */
  async startUpstream(
    host: string,
    code: Reply = Reply.succeeded,
    bound = addressOf(host, 4000),
  ): Promise<string[]> {
    const requests: string[] = [];
    const talk = async (connection: Connection): Promise<void> => {
      const client = new MemoryClient(connection as never);
      const [, count] = await client.read(2);
      const methods = await client.read(count!);
      client.send(methods.includes(2) ? '05 02' : '05 00');
      if (methods.includes(2)) {
        const login = await connection.read();
        requests.push(`login ${Buffer.from(login!).toString('latin1').slice(2)}`);
        client.send('01 00');
      }
      requests.push(Buffer.from((await connection.read())!).toString('hex'));
      client.send(encodeSocks5Reply({ code, bound }));
      if (code !== Reply.succeeded) client.end();
    };
    await this.listen(host, 1080, (connection) => void talk(connection));
    return requests;
  }
}

const soon = (milliseconds = 60_000): number => performance.now() + milliseconds;
const requestTo = (host: string, port = '0050'): string =>
  `05010001${parseHex(Buffer.from(host.split('.').map(Number))).toString('hex')}${port}`;

suite('CONNECT directly', () => {
  test('returns the local and the target address, and reports the route', async () => {
    const scene = new Scene();
    await scene.listen(TARGET, 80);
    const { connection, bound, address } = await scene.connect(TARGET);
    assert.deepEqual([bound, address], [connection.local, { host: TARGET, port: 80 }]);
    assert.deepEqual(scene.client.told, ['direct']);
  });

  test('uses the first address of a name that answers', async () => {
    const scene = new Scene();
    await scene.listen(OTHER, 80);
    const { address } = await scene.connect('www.test', [TARGET, OTHER]);
    assert.equal(address?.host, OTHER);
  });

  test('uses the egress of the route', async () => {
    const egress = { addresses: ['192.0.2.50'], rotate: 'none' } as const;
    const scene = new Scene([route('direct', { egress })]);
    await scene.listen(TARGET, 80);
    assert.equal((await scene.connect(TARGET)).bound.host, '192.0.2.50');
  });

  test('waits until the deadline, or until the client is gone', async () => {
    const scene = new Scene();
    scene.engine.silent.add(TARGET);
    await assert.rejects(scene.connect(TARGET, [], 1), { code: 'ETIMEDOUT' });
    const waiting = scene.connect(TARGET);
    const gone = new Error('gone');
    scene.client.stop.abort(gone);
    await assert.rejects(waiting, gone);
  });

  test('rejects when nothing listens there', async () => {
    await assert.rejects(new Scene().connect(TARGET), { code: 'ECONNREFUSED' });
  });
});

suite('CONNECT through upstreams', () => {
  test('by address, if the server takes addresses', async () => {
    const scene = new Scene([route(server('192.0.2.9'))]);
    const requests = await scene.startUpstream('192.0.2.9');
    const { bound, address } = await scene.connect('www.test', [TARGET]);
    assert.deepEqual(requests, [requestTo(TARGET)]);
    assert.deepEqual(bound, { host: '192.0.2.9', port: 4000 });
    assert.deepEqual(address, { host: TARGET, port: 80 });
    assert.deepEqual(scene.client.told, ['up', 'up']);
  });

  test('by name, if the server takes names: the address is unknown here', async () => {
    const scene = new Scene([route(server('192.0.2.9', { passesNames: true }))]);
    const requests = await scene.startUpstream('192.0.2.9');
    const { address } = await scene.connect('www.test');
    assert.deepEqual(requests, [`0501000308${Buffer.from('www.test').toString('hex')}0050`]);
    assert.equal(address, undefined);
  });

  test('the next address of a name, if the server has no route to the first', async () => {
    const scene = new Scene([route(server('192.0.2.9'))]);
    const requests = await scene.startUpstream('192.0.2.9', Reply.networkUnreachable);
    await assert.rejects(scene.connect('www.test', [TARGET, OTHER]), { code: 'reply-3' });
    assert.deepEqual(requests, [requestTo(TARGET), requestTo(OTHER)]);
  });

  test("with the client's credentials, if the server requires them", async () => {
    const scene = new Scene([route(server('192.0.2.9', { credentials: 'client' }))]);
    const requests = await scene.startUpstream('192.0.2.9');
    await scene.connect(TARGET);
    assert.deepEqual(requests, ['login ann\x01x', requestTo(TARGET)]);
  });

  test('a group: the record names the member, which counts until it is released', async () => {
    const members = ['192.0.2.8', '192.0.2.9'].map((host) => ({ upstream: server(host), weight: 1 }));
    const group = {
      type: 'group',
      label: 'g',
      members,
      choose: 'order',
      health: { fail: 2 },
      tries: 2,
    } as const;
    const scene = new Scene([route(group)]);
    await scene.startUpstream('192.0.2.9');
    await scene.connect(TARGET);
    assert.deepEqual(scene.client.told, ['up', 'up/192.0.2.9:1080']);
    const { label } = members[1]!.upstream;
    assert.equal(scene.outbound.health.sessions(label), 1);
    scene.client.release!();
    assert.equal(scene.outbound.health.sessions(label), 0);
  });

  test('a server that leads back here is not contacted', async () => {
    const scene = new Scene([route(server(HERE))]);
    await assert.rejects(scene.connect(TARGET), { code: 'loop' });
  });
});

suite('RESOLVE', () => {
  const noDeadline = Infinity;

  test('addresses found by the rules need no further query', async () => {
    const scene = new Scene();
    const found = await scene.outbound.resolve(
      scene.routed('www.test', 'resolve', [TARGET]),
      scene.client,
      noDeadline,
    );
    assert.deepEqual(found.map(formatIp), [TARGET]);
  });

  for (const [command, host, answer, expected] of [
    ['resolve', 'www.test', TARGET, TARGET],
    ['resolve', 'www.test', 'no.address', undefined],
    ['reverse', TARGET, 'www.test', 'www.test'],
  ] as const) {
    test(`${command} of ${host} at the last server: ${answer}`, async () => {
      const scene = new Scene([route(server('192.0.2.9', { passesNames: true }))]);
      await scene.startUpstream('192.0.2.9', Reply.succeeded, addressOf(answer, 0));
      const routed = scene.routed(host, 'resolve');
      const found =
        command === 'resolve'
          ? (await scene.outbound.resolve(routed, scene.client, soon())).map(formatIp)[0]
          : await scene.outbound.reverse(routed, scene.client, soon());
      assert.equal(found, expected);
    });
  }
});

test('new settings apply at once', async () => {
  const scene = new Scene();
  await scene.listen(TARGET, 80);
  await scene.connect(TARGET);
  scene.outbound.use(settings([route(server('192.0.2.9'))]));
  await assert.rejects(scene.connect(TARGET), { code: 'ECONNREFUSED' });
  assert.deepEqual(scene.client.told, ['direct', 'up']);
});

test('our own requests use nothing of a client', () => {
  const scene = new Scene([route(server('192.0.2.9', { credentials: 'client' }))]);
  const [own] = scene.outbound.routes.all;
  const { client, credentials, signal } = scene.outbound.ownContext(own!, scene.client.signal);
  assert.deepEqual([client, credentials, signal], ['', undefined, scene.client.signal]);
});

test('closing stops all requests to upstreams', () => {
  const scene = new Scene();
  scene.outbound.close();
  assert.ok(scene.outbound.health.closing.signal.aborted);
});

const PATHS: readonly (readonly [UpstreamOptions | 'direct', string])[] = [
  ['direct', 'label'],
  [server('192.0.2.9'), 'label'],
  [
    { type: 'chain', label: 'c', hops: [server('192.0.2.8'), server('192.0.2.9')] },
    'label/192.0.2.8:1080/192.0.2.9:1080',
  ],
];

for (const [via, expected] of PATHS) {
  test(`a route in a record: ${expected}`, () => {
    const [first] = new Scene([route(via, { label: 'label' })]).outbound.routes.all;
    assert.equal(describePath(first!, ['192.0.2.8:1080', '192.0.2.9:1080']), expected);
  });
}
