import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ServerScene } from '../../../test/support/server-scene.ts';
import type { ServerConfig } from '../../../test/support/settings.ts';
import type { Command } from '../../policy/policy.ts';
import type { RoutedPermit } from '../../route/judge.ts';
import { addressOf } from '../../wire/address.ts';
import { formatIp } from '../../wire/ip.ts';
import { Reply } from '../../wire/socks5.ts';
import { destinationOf } from '../destination.ts';
import { Failure } from '../failure.ts';
import { acquireLimits, authorize } from './authorize.ts';
import type { Session } from './session.ts';

const TARGET = '203.0.113.1';
const ZONE: Readonly<Record<string, readonly string[]>> = {
  'one.test': [TARGET],
  'two.test': ['203.0.113.13', TARGET],
  'inside.test': ['127.0.0.1'],
};
const lookUp = (name: string): readonly string[] | undefined => ZONE[name];

const ALLOW = { name: 'some', allow: 'any', to: ['203.0.113.0/24', '.test'] } as const;
const DENY = { name: 'no', deny: 'any', to: ['203.0.113.13', '203.0.113.14'] } as const;

function ask(
  scene: ServerScene,
  host: string | undefined,
  command: Command = 'connect',
  session: Session = scene.open().session,
): Promise<RoutedPermit> {
  const destination = host === undefined ? undefined : destinationOf(addressOf(host, 443));
  return authorize(session, command, destination, scene.state);
}

interface Row {
  readonly title: string;
  readonly config?: Partial<ServerConfig>;
  readonly command?: Command;
  /** @default the destination is not known yet */
  readonly host?: string;
  readonly end: string;
  readonly reply?: Reply;
  /** Fields of the record. */
  readonly rule?: string;
  readonly address?: string;
  readonly route?: string;
}

const VIA_HTTP = {
  upstreams: { web: 'http://192.0.2.9:8080' },
  routes: [{ to: ['any'], via: 'web' }],
} as const;
const VIA_TLS = {
  upstreams: { far: 'socks5h+tls://proxy.test:1080' },
  routes: [{ to: ['any'], via: 'far' }],
} as const;
const ELSEWHERE = { routes: [{ to: ['192.0.2.0/24'], via: 'direct' }] } as const;

const REFUSALS: readonly Row[] = [
  {
    title: 'a rule denies it',
    host: '203.0.113.14',
    end: 'policy:request:rule',
    rule: 'no',
    address: '203.0.113.14',
  },
  { title: 'no rule matches', host: '192.0.2.7', end: 'policy:request:no-rule', address: '192.0.2.7' },
  {
    title: 'no rule allows any destination',
    command: 'bind',
    config: { rules: [{ allow: 'connect', to: 'any' }] },
    end: 'policy:request:no-rule',
  },
  {
    title: 'a name resolves to an address that a rule denies',
    host: 'two.test',
    config: { rules: [DENY, { allow: 'any', to: [TARGET], port: 80 }] },
    end: 'policy:request:rule',
    rule: 'no',
    address: '203.0.113.13',
  },
  {
    title: 'a name resolves to a private address',
    host: 'inside.test',
    config: { rules: [{ allow: 'any', to: 'any' }] },
    end: 'policy:request:no-rule',
    address: '127.0.0.1',
  },
  {
    title: 'the name does not exist',
    host: 'none.test',
    end: 'target:resolve:ENOTFOUND',
    reply: Reply.hostUnreachable,
  },
  {
    title: 'another method is required',
    host: TARGET,
    config: { rules: [{ ...ALLOW, method: ['password'] }] },
    end: 'policy:request:method',
    rule: 'some',
    address: TARGET,
  },
  {
    title: 'no route matches',
    host: TARGET,
    config: ELSEWHERE,
    end: 'policy:request:no-route',
    rule: 'some',
    address: TARGET,
  },
  {
    title: 'the upstream cannot BIND',
    host: TARGET,
    command: 'bind',
    config: VIA_HTTP,
    end: 'upstream:bind:command',
    reply: Reply.commandNotSupported,
    rule: 'some',
    route: 'web',
  },
  {
    title: 'the upstream cannot BIND without a named peer',
    command: 'bind',
    config: VIA_HTTP,
    end: 'upstream:bind:command',
    reply: Reply.commandNotSupported,
    rule: 'some',
    route: 'web',
  },
  {
    title: 'an HTTP proxy cannot carry datagrams',
    command: 'udp',
    config: VIA_HTTP,
    end: 'upstream:request:command',
    reply: Reply.commandNotSupported,
    rule: 'some',
    route: 'web',
  },
  {
    title: 'an encrypted link, which datagrams would bypass',
    command: 'udp',
    config: VIA_TLS,
    end: 'upstream:request:encrypted',
    reply: Reply.commandNotSupported,
    rule: 'some',
    route: 'far',
  },
];

suite('a request is refused', () => {
  for (const { title, config, host, command, end, reply = Reply.notAllowed, ...said } of REFUSALS) {
    test(title, async () => {
      using scene = new ServerScene({ rules: [DENY, ALLOW], ...config }, { lookUp });
      const { session } = scene.open();
      await assert.rejects(ask(scene, host, command, session), (error: Failure) => {
        assert.deepEqual([error.message, error.reply], [end, reply]);
        return true;
      });
      const { rule, address, route } = session.record();
      const nothing = { rule: undefined, address: undefined, route: undefined };
      assert.deepEqual({ rule, address, route }, { ...nothing, ...said });
      assert.equal(session.grant, undefined);
    });
  }
});

test("garter's own port is refused, whatever the rules allow", async () => {
  using scene = new ServerScene({ rules: [ALLOW] });
  const free = scene.state.ports.add({ host: TARGET, port: 443 }, 'tcp');
  await assert.rejects(ask(scene, TARGET), { message: 'policy:request:own-port' });
  free();
  await ask(scene, TARGET);
});

suite('a request is allowed', () => {
  test('a name, with the addresses that the rules allow', async () => {
    const rules = [DENY, { ...ALLOW, to: ['203.0.113.0/24'] }];
    using scene = new ServerScene({ rules }, { lookUp });
    const { permit, addresses, upstream } = await ask(scene, 'one.test');
    assert.deepEqual([addresses.map(formatIp), upstream], [[TARGET], undefined]);
    assert.equal(permit.rule.name, 'some');
  });

  test('a name that is passed on is not looked up here', async () => {
    const routes = [{ to: ['any'], via: 'socks5h://192.0.2.9:1080' }] as const;
    using scene = new ServerScene({ rules: [ALLOW], routes }, { lookUp: () => assert.fail() });
    const { permit, addresses, upstream } = await ask(scene, 'one.test');
    assert.deepEqual([permit.addresses, addresses], [[], []]);
    assert.equal(upstream?.type, 'server');
  });

  test('an unknown destination, if any would be allowed', async () => {
    using scene = new ServerScene({ rules: [DENY, ALLOW] });
    const { permit } = await ask(scene, undefined, 'udp');
    assert.deepEqual([permit.rule.name, permit.addresses], ['some', []]);
  });
});

suite('changes during the look-up of a name apply', () => {
  test('the rules', async () => {
    using scene: ServerScene = new ServerScene(
      { rules: [ALLOW] },
      {
        lookUp: async () => {
          await scene.reload({ rules: [{ name: 'closed', deny: 'any', to: 'any' }] });
          return [TARGET];
        },
      },
    );
    await assert.rejects(ask(scene, 'one.test'), { message: 'policy:request:rule' });
  });

  test("the user's groups", async () => {
    using scene: ServerScene = new ServerScene(
      {
        rules: [
          { ...ALLOW, to: [TARGET], user: ['@staff'] },
          { ...ALLOW, name: 'names', to: ['.test'], user: '@staff' },
        ],
      },
      {
        authenticator: { verify: () => assert.fail() },
        lookUp: () => {
          session.identifiedAs({ user: 'ann', groups: [] });
          return [TARGET];
        },
      },
    );
    const { session } = scene.open();
    session.identifiedAs({ user: 'ann', groups: ['staff'] });
    await assert.rejects(ask(scene, 'one.test', 'connect', session), { message: 'policy:request:no-rule' });
  });

  test('the end of the session', async () => {
    using scene = new ServerScene({ rules: [ALLOW] }, { lookUp: () => Promise.reject(session.failure) });
    const { session } = scene.open();
    session.stop(new Failure('admin', 'request', 'drain'));
    await assert.rejects(ask(scene, 'one.test', 'connect', session), { message: 'admin:request:drain' });
  });
});

suite('the decision of the embedder', () => {
  const asked: unknown[] = [];
  for (const [title, decide, end] of [
    ['allows', () => true, undefined],
    ['allows later', async () => true, undefined],
    ['refuses', () => false, 'policy:request:embedder'],
    ['refuses later', async () => false, 'policy:request:embedder'],
    ['never answers', () => new Promise<never>(() => {}), 'timeout:request:embedder'],
  ] as const) {
    test(title, async () => {
      using scene = new ServerScene({ rules: [ALLOW] }, { decide, lookUp });
      scene.state.timeouts = { ...scene.state.timeouts, connect: end?.startsWith('timeout') ? 1 : 60_000 };
      const outcome = await ask(scene, 'one.test').catch((error: unknown) => error);
      assert.equal(outcome instanceof Failure ? outcome.message : undefined, end);
    });
  }

  test('is requested with the facts, and only for requests that the rules allow', async () => {
    const decide = (request: unknown): boolean => asked.push(request) > 0;
    using scene = new ServerScene({ rules: [DENY, ALLOW] }, { decide });
    await ask(scene, TARGET);
    await assert.rejects(ask(scene, '203.0.113.14'), { message: 'policy:request:rule' });
    await ask(scene, undefined, 'udp');
    assert.partialDeepStrictEqual(asked, [
      { command: 'connect', destination: { type: 'ip', port: 443 }, method: 'none' },
    ]);
    assert.equal(asked.length, 1);
  });

  test('can throw', async () => {
    using scene = new ServerScene({ rules: [ALLOW] }, { decide: () => assert.fail('out of order') });
    await assert.rejects(ask(scene, TARGET), { message: 'out of order' });
  });

  for (const allows of [true, false]) {
    test(`while it is pending the rules change: they are consulted again, and ${allows ? 'allow' : 'refuse'} the request`, async () => {
      let count = 0;
      using scene: ServerScene = new ServerScene(
        { rules: [ALLOW] },
        {
          decide: async () => {
            if (++count === 1) await scene.reload({ rules: allows ? [{ ...ALLOW, name: 'new' }] : [DENY] });
            return true;
          },
        },
      );
      if (allows) assert.equal((await ask(scene, TARGET)).permit.rule.name, 'new');
      else await assert.rejects(ask(scene, TARGET), { message: 'policy:request:no-rule' });
      assert.equal(count, allows ? 2 : 1);
    });
  }

  test('is no longer awaited when the session ends', async () => {
    using scene = new ServerScene({ rules: [ALLOW] }, { decide: () => new Promise(() => {}) });
    const { session } = scene.open();
    const asking = ask(scene, TARGET, 'connect', session);
    session.stop(new Failure('admin', 'request', 'close'));
    await assert.rejects(asking, { message: 'admin:request:close' });
  });
});

/** Successive claims by address and user, and the indexes of those that are refused. */
const LIMITS: readonly {
  readonly limit: object;
  readonly clients: readonly string[];
  readonly refused: readonly number[];
}[] = [
  { limit: { sessions: 2 }, clients: ['::1 ann', '198.51.100.2 bob', '198.51.100.3'], refused: [2] },
  {
    limit: { 'sessions-per-address': 1 },
    clients: ['198.51.100.1', '198.51.100.2', '198.51.100.1'],
    refused: [2],
  },
  {
    limit: { 'sessions-per-address': 1 },
    clients: ['2001:db8::1', '2001:db8::2', '2001:db8:0:1::1'],
    refused: [1],
  },
  {
    limit: { 'sessions-per-user': 1 },
    clients: ['198.51.100.1 ann', '198.51.100.1 bob', '198.51.100.2 ann'],
    refused: [2],
  },
  {
    limit: { 'sessions-per-user': 2 },
    clients: ['198.51.100.1', '198.51.100.2', '198.51.100.3'],
    refused: [2],
  },
  { limit: { rate: '2/h' }, clients: ['198.51.100.1', '198.51.100.2', '198.51.100.3'], refused: [2] },
  {
    limit: { 'rate-per-address': '1/h' },
    clients: ['198.51.100.1', '198.51.100.1', '198.51.100.2'],
    refused: [1],
  },
  {
    limit: { 'rate-per-address': '2/h' },
    clients: ['198.51.100.1', '198.51.100.1', '198.51.100.1'],
    refused: [2],
  },
];

/** The code of the limit that refuses, if any. */
async function claimFor(scene: ServerScene, session: Session): Promise<string | undefined> {
  session.enters('request');
  const destination = destinationOf(addressOf(TARGET, 443));
  const { permit } = await authorize(session, 'connect', destination, scene.state);
  try {
    acquireLimits(session, 'connect', destination, permit, scene.state);
    return undefined;
  } catch (error) {
    assert.equal((error as Failure).reply, Reply.notAllowed);
    assert.equal(session.rule?.name, 'some');
    return (error as Failure).message;
  }
}

suite('limits of a rule', () => {
  for (const { limit, clients, refused } of LIMITS) {
    test(`${JSON.stringify(limit)}: ${clients.join(', ')}`, async () => {
      // The second rule would allow it: a limit does not fall through to the next rule.
      const rules = [
        { ...ALLOW, limit },
        { name: 'rest', allow: 'any', to: 'any' },
      ] as const;
      using scene = new ServerScene({ rules });
      const found: (string | undefined)[] = [];
      for (const each of clients) {
        const [from, user] = each.split(' ');
        const { session } = scene.open(from);
        if (user !== undefined) session.identifiedAs({ user, groups: [] });
        found.push(await claimFor(scene, session));
      }
      const [name] = Object.keys(limit);
      const expected = clients.map((_, i) => (refused.includes(i) ? `limit:request:${name}` : undefined));
      assert.deepEqual(found, expected);
    });
  }

  test('a slot is free again when its session ends', async () => {
    using scene = new ServerScene({ rules: [{ ...ALLOW, limit: { sessions: 1 } }] });
    const { session: first } = scene.open();
    assert.equal(await claimFor(scene, first), undefined);
    assert.equal(await claimFor(scene, scene.open().session), 'limit:request:sessions');
    scene.state.sessions.close(first, { by: 'client', phase: 'relay' });
    assert.equal(await claimFor(scene, scene.open().session), undefined);
  });

  test('an exhausted quota refuses', async () => {
    const rules = [{ ...ALLOW, limit: { 'quota-per-user': '1MB/day' } }];
    using scene = new ServerScene({ rules, state: 'unused' });
    assert.equal(await claimFor(scene, scene.open().session), undefined);
    scene.used = 1_000_000;
    assert.equal(await claimFor(scene, scene.open().session), 'limit:request:quota-per-user');
  });
});
