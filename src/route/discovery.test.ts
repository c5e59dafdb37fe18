import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { response, service, startNameServer, type NameServer } from '../../test/support/name-server.ts';
import { until } from '../../test/support/process.ts';
import { Resolver } from '../resolve/resolver.ts';
import { Discovery } from './discovery.ts';
import { UpstreamError } from './error.ts';
import type { DiscoverOptions, GroupOptions } from './options.ts';

const NAME = '_socks5._tcp.example.test';
const way: DiscoverOptions = {
  type: 'discover',
  label: 'found',
  service: NAME,
  scheme: 'socks5h://',
  server: { protocol: 'socks5', passesNames: true },
  choose: 'random',
  health: { fail: 1 },
  tries: 3,
};

type Record = readonly [target: string, priority: number, weight: number];

/** A name server whose records change, a clock, and the failed look-ups. */
class Setup implements AsyncDisposable {
  records: readonly Record[] = [];
  ttl = 60;
  fails = false;
  now = 0;
  readonly missed: string[] = [];
  readonly discovery: Discovery = new Discovery(
    (name, why) => this.missed.push(`${name}: ${why}`),
    () => this.now,
  );
  readonly #server: NameServer;
  readonly #resolver: Resolver;

  static async start(): Promise<Setup> {
    let setup: Setup | undefined;
    const server = await startNameServer((asked) => {
      const { records, ttl, fails } = setup!;
      const answers = records.map(([target, priority, weight]) =>
        service(NAME, target, 1080, { priority, weight, ttl }),
      );
      return [response(asked, fails ? { rcode: 2 } : { answers })];
    });
    setup = new Setup(server);
    return setup;
  }

  private constructor(server: NameServer) {
    this.#server = server;
    this.#resolver = new Resolver({ servers: [server.endpoint], family: 'any', timeout: 5000 });
  }

  get asked(): number {
    return this.#server.asked.length;
  }

  group(): Promise<GroupOptions> {
    return this.discovery.group(way, this.#resolver, {});
  }

  /** The members, each as target:priority:weight. */
  async members(): Promise<string> {
    const { members } = await this.group();
    return members
      .map(({ upstream: { label }, weight, priority }) => `${label.slice(10, -10)}:${priority}:${weight}`)
      .join(' ');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#resolver.close();
    await this.#server[Symbol.asyncDispose]();
  }
}

function unreachable(code: string): (error: unknown) => boolean {
  return (error) => error instanceof UpstreamError && error.trouble === 'unreachable' && error.code === code;
}

suite('discovery', () => {
  for (const [what, records, members] of [
    [
      'weights are divided by their common divisor',
      [
        ['a.test', 10, 60],
        ['b.test', 10, 40],
      ],
      'a:10:3 b:10:2',
    ],
    [
      'a weight of 0 becomes a very small one',
      [
        ['a.test', 1, 0],
        ['b.test', 1, 5],
      ],
      'b:1:1 a:1:0.01',
    ],
    [
      'without weights, all are equal',
      [
        ['b.test', 0, 0],
        ['a.test', 5, 0],
      ],
      'b:0:1 a:5:1',
    ],
  ] as const) {
    test(what, async () => {
      await using setup = await Setup.start();
      setup.records = records;
      assert.equal(await setup.members(), members);
    });
  }

  test('a group of servers', async () => {
    await using setup = await Setup.start();
    setup.records = [['a.test', 7, 0]];
    const at = { host: 'a.test', port: 1080 };
    const server = { ...way.server, type: 'server', label: 'socks5h://a.test:1080', at };
    assert.partialDeepStrictEqual(await setup.group(), {
      type: 'group',
      label: 'found',
      members: [{ upstream: server, weight: 1, priority: 7 }],
      choose: 'random',
    });
  });

  test('asked again when the time to live is over, and not before', async () => {
    await using setup = await Setup.start();
    setup.records = [['a.test', 0, 1]];
    await Promise.all([setup.group(), setup.group()]);
    setup.records = [['b.test', 0, 1]];
    setup.now = 59_999;
    assert.equal(await setup.members(), 'a:0:1');
    assert.equal(setup.asked, 1);
    setup.now = 60_000;
    assert.deepEqual(
      await Promise.all([setup.members(), setup.members()]),
      ['a:0:1', 'a:0:1'],
      'in the background',
    );
    await until(
      async () => (await setup.members()) === 'b:0:1',
      () => 'it is not asked again',
    );
    assert.equal(setup.asked, 2);
  });

  test('callers wait for the answer when the last one expired long ago', async () => {
    await using setup = await Setup.start();
    setup.records = [['a.test', 0, 1]];
    await setup.group();
    setup.records = [['b.test', 0, 1]];
    setup.now = 120_000;
    assert.equal(await setup.members(), 'b:0:1');
  });

  for (const [ttl, least, most] of [
    [0, 4999, 5000],
    [86_400, 3_599_999, 3_600_000],
  ] as const) {
    test(`a time to live of ${ttl} s counts as ${most} ms`, async () => {
      await using setup = await Setup.start();
      setup.ttl = ttl;
      setup.records = [['a.test', 0, 1]];
      await setup.group();
      setup.now = least;
      await setup.group();
      assert.equal(setup.asked, 1);
      setup.now = most + 60_000;
      await setup.group();
      assert.equal(setup.asked, 2);
    });
  }

  test('the last good answer stays in use, with one warning, until there is a new one', async () => {
    await using setup = await Setup.start();
    setup.records = [['a.test', 0, 1]];
    await setup.group();
    setup.fails = true;
    for (const now of [120_000, 130_000, 140_000]) {
      setup.now = now;
      assert.equal(await setup.members(), 'a:0:1');
    }
    assert.equal(setup.asked, 7, 'each failure once more without EDNS');
    assert.equal(setup.missed.length, 1);
    assert.match(setup.missed[0]!, /_socks5\._tcp\.example\.test: .*RCODE 2/);
    setup.fails = false;
    setup.records = [];
    setup.now = 150_000;
    assert.equal(await setup.members(), 'a:0:1', 'that there are none may be a mistake');
    setup.ttl = 0;
    setup.records = [
      ['.', 0, 0],
      ['192.0.2.1', 0, 0],
    ];
    setup.now = 155_000;
    assert.equal(await setup.members(), 'a:0:1', 'and so may records of which none can be used');
    setup.records = [['b.test', 0, 1]];
    setup.now = 160_000;
    assert.equal(await setup.members(), 'b:0:1');
    setup.fails = true;
    setup.now = 320_000;
    await setup.group();
    assert.equal(setup.missed.length, 2);
  });

  test('without an earlier answer, a missing service is an error', async () => {
    await using setup = await Setup.start();
    await assert.rejects(setup.group(), unreachable('ENOTFOUND'));
    setup.fails = true;
    await assert.rejects(setup.group(), unreachable('ESERVFAIL'));
    setup.fails = false;
    setup.records = [['.', 0, 0]];
    await assert.rejects(setup.group(), unreachable('ENOTFOUND'));
    assert.equal(setup.asked, 4, 'the failure once more without EDNS');
    await assert.rejects(setup.group(), unreachable('ENOTFOUND'));
    assert.equal(setup.asked, 4, 'that was an answer');
  });
});
