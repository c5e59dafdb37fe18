import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDirectory } from '../../test/support/directory.ts';
import {
  address,
  authority,
  response,
  service,
  startNameServer,
  type NameServer,
  type Script,
} from '../../test/support/name-server.ts';
import { formatIp, parseIp, type Ip } from '../wire/ip.ts';
import { Resolver, type Machine, type ResolveOptions } from './resolver.ts';

const silent: Script = () => [];

function gate(): { readonly promise: Promise<void>; readonly release: () => void } {
  const controller = new AbortController();
  return {
    promise: once(controller.signal, 'abort').then(() => undefined),
    release: () => controller.abort(),
  };
}

/** Answers from a table: the addresses of a name, with one time to live for all; otherwise no such name. */
function zone(names: Readonly<Record<string, readonly string[]>>, ttl = 60): Script {
  return (asked) => {
    const known = names[asked.name];
    if (known === undefined) return [response(asked, { rcode: 3, authorities: [authority(ttl)] })];
    const answers = known
      .map((data) => address(asked.name, data, ttl))
      .filter(({ type }) => type === asked.type);
    return [response(asked, { answers, authorities: answers.length > 0 ? [] : [authority(ttl)] })];
  };
}

interface Setup extends AsyncDisposable {
  readonly server: NameServer;
  readonly resolver: Resolver;
  /** Returns the questions so far, and clears them. */
  asked(): string[];
}

async function setUp(
  script: Script,
  options: Partial<ResolveOptions> = {},
  machine: Machine = {},
): Promise<Setup> {
  const server = await startNameServer(script);
  const resolver = new Resolver(
    { servers: [server.endpoint], family: 'any', timeout: 60_000, ...options },
    { hostsFile: '/dev/null', sourceFor: (host) => host, ...machine },
  );
  let seen = 0;
  return {
    server,
    resolver,
    asked: () => {
      const news = server.asked.slice(seen).map(({ name, type }) => `${type} ${name}`);
      seen = server.asked.length;
      return news.toSorted();
    },
    [Symbol.asyncDispose]: async () => {
      resolver.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function texts(ips: Promise<readonly Ip[]>): Promise<string[]> {
  return (await ips).map(formatIp);
}

test('both families are asked for and put in order', async () => {
  await using all = await setUp(zone({ 'www.test': ['192.0.2.1', '192.0.2.2', '2001:db8::1'] }));
  assert.deepEqual(await texts(all.resolver.resolve('WWW.test.')), ['2001:db8::1', '192.0.2.1', '192.0.2.2']);
  assert.deepEqual(all.asked(), ['A www.test', 'AAAA www.test']);
});

test('unreachable addresses come last', async () => {
  const machine = { sourceFor: (host: string) => (host.includes(':') ? undefined : host) };
  await using all = await setUp(zone({ 'www.test': ['192.0.2.1', '2001:db8::1'] }), {}, machine);
  assert.deepEqual(await texts(all.resolver.resolve('www.test')), ['192.0.2.1', '2001:db8::1']);
});

test('one family alone', async () => {
  const script = zone({ 'www.test': ['192.0.2.1', '2001:db8::1'] });
  await using v4 = await setUp(script, { family: 'ipv4' });
  assert.deepEqual(await texts(v4.resolver.resolve('www.test')), ['192.0.2.1']);
  await assert.rejects(v4.resolver.resolve('www.test', { family: 'ipv6' }), { code: 'ENOTFOUND' });
  await assert.rejects(v4.resolver.resolve('::1'), { code: 'ENOTFOUND' });
  assert.deepEqual(v4.asked(), ['A www.test']);
  await using any = await setUp(script);
  assert.deepEqual(await texts(any.resolver.resolve('www.test', { family: 'ipv6' })), ['2001:db8::1']);
  assert.deepEqual(any.asked(), ['AAAA www.test']);
});

test('IPv4 first', async () => {
  const script = zone({ 'www.test': ['2001:db8::1', '192.0.2.2', '192.0.2.1'] });
  await using both = await setUp(script, { family: 'prefer-ipv4' });
  assert.deepEqual(await texts(both.resolver.resolve('www.test')), ['192.0.2.2', '192.0.2.1', '2001:db8::1']);
  assert.deepEqual(await texts(both.resolver.resolve('www.test', { family: 'ipv6' })), ['2001:db8::1']);
  const machine = { sourceFor: (host: string) => (host.includes(':') ? host : undefined) };
  await using v6 = await setUp(script, { family: 'prefer-ipv4' }, machine);
  assert.deepEqual((await texts(v6.resolver.resolve('www.test')))[0], '2001:db8::1');
});

test('static names have their addresses alone, and give them their name', async () => {
  const hosts = { 'www.test': ['192.0.2.7', '2001:db8::7'], 'db.test': ['192.0.2.7'] };
  await using all = await setUp(zone({ 'www.test': ['192.0.2.1'] }), { hosts });
  assert.deepEqual(await texts(all.resolver.resolve('WWW.test.')), ['2001:db8::7', '192.0.2.7']);
  await assert.rejects(all.resolver.resolve('db.test', { family: 'ipv6' }), { code: 'ENOTFOUND' });
  assert.equal(await all.resolver.reverse(parseIp('192.0.2.7')!), 'www.test');
  assert.deepEqual(all.asked(), []);
  await assert.rejects(all.resolver.resolve('a.www.test'), { code: 'ENOTFOUND' });
});

test('positive and negative answers are cached for their time to live', async () => {
  let now = 0;
  await using all = await setUp(
    zone({ 'www.test': ['192.0.2.1'] }, 30),
    { family: 'ipv4' },
    { now: () => now },
  );
  const ask = async (): Promise<string[]> => {
    assert.deepEqual(await texts(all.resolver.resolve('www.test')), ['192.0.2.1']);
    await assert.rejects(all.resolver.resolve('no.test'), { code: 'ENOTFOUND' });
    return all.asked();
  };
  assert.deepEqual(await ask(), ['A no.test', 'A www.test']);
  now = 29_999;
  assert.deepEqual(await ask(), []);
  now = 30_000;
  assert.deepEqual(await ask(), ['A no.test', 'A www.test']);
});

test('an answer with a time to live of 0 is not cached, nor is a failure', async () => {
  await using all = await setUp(
    (asked) =>
      asked.name === 'broken.test'
        ? [response(asked, { rcode: 2 })]
        : zone({ 'www.test': ['192.0.2.1'] }, 0)(asked),
    { family: 'ipv4' },
  );
  for (const _ of [1, 2]) {
    await all.resolver.resolve('www.test');
    await assert.rejects(all.resolver.resolve('broken.test'), { code: 'ESERVFAIL' });
    assert.deepEqual(all.asked(), ['A broken.test', 'A broken.test', 'A www.test'], 'with EDNS and without');
  }
});

test('concurrent callers with the same question share one query', async () => {
  await using all = await setUp(zone({ 'www.test': ['192.0.2.1'] }, 0));
  const results = await Promise.all(
    Array.from({ length: 100 }, () => texts(all.resolver.resolve('www.test'))),
  );
  for (const result of results) assert.deepEqual(result, ['192.0.2.1']);
  assert.deepEqual(all.asked(), ['A www.test', 'AAAA www.test']);
});

test('a slow AAAA is not waited for, but cached when it arrives', async () => {
  const { promise, release } = gate();
  const answer = zone({ 'www.test': ['192.0.2.1', '2001:db8::1'] });
  await using all = await setUp(async (asked) => {
    if (asked.type === 'AAAA') await promise;
    return answer(asked);
  });
  assert.deepEqual(await texts(all.resolver.resolve('www.test')), ['192.0.2.1']);
  release();
  assert.deepEqual(await texts(all.resolver.resolve('www.test', { family: 'ipv6' })), ['2001:db8::1']);
  assert.deepEqual(await texts(all.resolver.resolve('www.test')), ['2001:db8::1', '192.0.2.1']);
  assert.deepEqual(all.asked(), ['A www.test', 'AAAA www.test']);
});

test('a thousand addresses: at most 32 are used', async () => {
  const many = Array.from({ length: 1000 }, (_, i) => `10.0.${i >>> 8}.${i & 255}`);
  const answer = zone({ 'big.test': many });
  await using all = await setUp(
    (asked) => (asked.over === 'tcp' ? answer(asked) : [response(asked, { flags: 0x0200 })]),
    { family: 'ipv4' },
  );
  assert.deepEqual(await texts(all.resolver.resolve('big.test')), many.slice(0, 32));
});

test('the hosts file takes precedence; a literal resolves to itself', async () => {
  await using directory = await makeDirectory();
  const hostsFile = join(directory.path, 'hosts');
  await writeFile(hostsFile, '10.0.0.1 www.test gateway\n');
  await using all = await setUp(zone({ 'www.test': ['192.0.2.1', '2001:db8::1'] }), {}, { hostsFile });
  assert.deepEqual(await texts(all.resolver.resolve('www.test')), ['10.0.0.1']);
  assert.deepEqual(await texts(all.resolver.resolve('Gateway')), ['10.0.0.1']);
  assert.deepEqual(await texts(all.resolver.resolve('127.0.0.1')), ['127.0.0.1']);
  assert.deepEqual(await texts(all.resolver.resolve('2001:DB8::1')), ['2001:db8::1']);
  assert.equal(await all.resolver.reverse(parseIp('10.0.0.1')!), 'www.test');
  assert.deepEqual(all.asked(), []);
  assert.deepEqual(await texts(all.resolver.resolve('www.test', { family: 'ipv6' })), ['2001:db8::1']);
});

test('names that are not sent to a name server', async () => {
  await using all = await setUp(() => assert.fail('asked'));
  assert.deepEqual(await texts(all.resolver.resolve('localhost')), ['::1', '127.0.0.1']);
  assert.deepEqual(await texts(all.resolver.resolve('App.localhost.', { family: 'ipv4' })), ['127.0.0.1']);
  for (const name of ['x.invalid', 'secret.onion', 'onion']) {
    await assert.rejects(all.resolver.resolve(name), { code: 'ENOTFOUND' });
  }
  for (const name of [
    '',
    '.',
    'a..b',
    '127.1',
    '0x7f.1',
    '10.0.0.256',
    'a b',
    'a\r\nb',
    '\0',
    `${'a'.repeat(64)}.test`,
  ]) {
    await assert.rejects(
      all.resolver.resolve(name),
      { name: 'ResolveError', code: 'EBADNAME' },
      JSON.stringify(name),
    );
  }
});

test('an address has the first valid name', async () => {
  const pointers: Readonly<Record<string, readonly string[]>> = {
    '1.2.0.192.in-addr.arpa': ['evil\r\nname.test', 'Good.test'],
    '2.2.0.192.in-addr.arpa': ['127.1'],
  };
  await using all = await setUp((asked) => {
    const answers = pointers[asked.name]?.map((data) => ({
      ...address(asked.name, data),
      type: 'PTR' as const,
    }));
    return [
      response(asked, answers === undefined ? { rcode: 3, authorities: [authority(60)] } : { answers }),
    ];
  });
  for (const _ of [1, 2]) {
    assert.equal(await all.resolver.reverse(parseIp('192.0.2.1')!), 'good.test');
    await assert.rejects(all.resolver.reverse(parseIp('192.0.2.2')!), { code: 'ENOTFOUND' });
    await assert.rejects(all.resolver.reverse(parseIp('192.0.2.3')!), { code: 'ENOTFOUND' });
    assert.equal(await all.resolver.reverse(parseIp('::1')!), 'localhost');
  }
  assert.deepEqual(
    all.asked(),
    ['1', '2', '3'].map((n) => `PTR ${n}.2.0.192.in-addr.arpa`),
  );
});

test('services: the records, for the caller to cache', async () => {
  const name = '_socks5._tcp.example.test';
  await using all = await setUp((asked) => [
    response(asked, {
      answers: [
        service(name, 'P1.example.test.', 1080, { priority: 10, weight: 60, ttl: 60 }),
        service(name, '192.0.2.1', 1081, { ttl: 30 }),
        service(name, '.', 0),
      ],
    }),
  ]);
  const services = [{ target: 'p1.example.test', port: 1080, priority: 10, weight: 60 }];
  for (let i = 0; i < 2; i++)
    assert.deepEqual(await all.resolver.services(name.toUpperCase()), { services, ttl: 30_000 });
  assert.deepEqual(all.asked(), [`SRV ${name}`, `SRV ${name}`]);
});

test('services: there are none', async () => {
  const script = zone({});
  const targets: Readonly<Record<string, string>> = { '_gone._tcp.test': '.', '_wrong._tcp.test': '127.1' };
  await using all = await setUp((asked) =>
    asked.type === 'SRV' && targets[asked.name] !== undefined
      ? [response(asked, { answers: [service(asked.name, targets[asked.name]!, 0, { ttl: 5 })] })]
      : script(asked),
  );
  assert.deepEqual(await all.resolver.services('_gone._tcp.test'), { services: [], ttl: 5000 });
  for (let i = 0; i < 2; i++) {
    await assert.rejects(all.resolver.services('_none._tcp.test'), { code: 'ENOTFOUND' });
    await assert.rejects(all.resolver.services('_wrong._tcp.test'), { code: 'ENOTFOUND' });
  }
  assert.deepEqual(all.asked(), ['SRV _gone._tcp.test', 'SRV _none._tcp.test', 'SRV _wrong._tcp.test']);
  await assert.rejects(all.resolver.services('no name'), { code: 'EBADNAME' });
});

test('with no servers configured, those of resolv.conf, and others when it changes', async () => {
  await using directory = await makeDirectory();
  const resolvConf = join(directory.path, 'resolv.conf');
  let now = 0;
  const machine = { hostsFile: '/dev/null', resolvConf, now: () => now };
  const resolver = new Resolver({ family: 'ipv4', timeout: 60_000 }, machine);
  // The file cannot name a port, so it names an address that cannot be reached.
  await writeFile(resolvConf, 'nameserver fe80::1\n');
  await assert.rejects(resolver.resolve('www.test'), { code: 'ESERVFAIL', message: /fe80::1 port 53/ });
  await writeFile(resolvConf, 'nameserver fe80::2\nsearch a.test b.test\n');
  now = 2000;
  await assert.rejects(resolver.resolve('www.test'), { message: /^www\.test: fe80::2 port 53/ });
  await assert.rejects(resolver.resolve('printer'), { message: /^printer: fe80::2 port 53/ });
});

test('an aborted call does not abort the others', async () => {
  const { promise, release } = gate();
  const answer = zone({ 'www.test': ['192.0.2.1'] });
  await using all = await setUp(
    async (asked) => {
      await promise;
      return answer(asked);
    },
    { family: 'ipv4' },
  );
  const controller = new AbortController();
  const { signal } = controller;
  const gone = all.resolver.resolve('www.test', { signal });
  const stays = all.resolver.resolve('www.test');
  controller.abort(new Error('gone'));
  await assert.rejects(gone, { message: 'gone' });
  await assert.rejects(all.resolver.resolve('www.test', { signal }), { message: 'gone' });
  await assert.rejects(all.resolver.reverse(parseIp('192.0.2.1')!, { signal }), { message: 'gone' });
  release();
  assert.deepEqual(await texts(stays), ['192.0.2.1']);
  assert.deepEqual(all.asked(), ['A www.test']);
});

test('a server that never answers', async () => {
  await using all = await setUp(silent, { timeout: 200 });
  await assert.rejects(all.resolver.resolve('www.test'), { name: 'ResolveError', code: 'ETIMEOUT' });
  await assert.rejects(all.resolver.reverse(parseIp('192.0.2.1')!), { code: 'ETIMEOUT' });
});

test('the limit of running queries, the limit of waiting ones, the next one is rejected', async () => {
  await using all = await setUp(silent, { family: 'ipv4' });
  const waiting = Array.from({ length: 256 + 1024 }, (_, i) => all.resolver.resolve(`n${i}.test`));
  const ends = Promise.allSettled(waiting);
  await assert.rejects(all.resolver.resolve('one-more.test'), { name: 'ResolveError', code: 'EBUSY' });
  assert.deepEqual(
    await texts(all.resolver.resolve('localhost')),
    ['127.0.0.1'],
    'what is known needs no line',
  );
  all.resolver.close();
  assert.equal((await ends).filter(({ status }) => status === 'rejected').length, waiting.length);
  await assert.rejects(waiting[0]!, { code: 'ECLOSED' });
  await assert.rejects(waiting.at(-1)!, { code: 'ECLOSED' });
  await assert.rejects(all.resolver.resolve('localhost'), { code: 'ECLOSED' });
});

test('a client sharing a query of a flood has its own slot in the queue', async () => {
  const { promise, release } = gate();
  const answer = zone({ 'www.test': ['192.0.2.1'] });
  await using all = await setUp(
    async (asked) => {
      await promise;
      return answer(asked);
    },
    { family: 'ipv4' },
  );
  const names = [...Array.from({ length: 256 + 1023 }, (_, i) => `n${i}.test`), 'www.test'];
  const flood = names.map((name) => all.resolver.resolve(name, { source: () => ['flood'] }));
  const ends = Promise.allSettled(flood);
  const victim = all.resolver.resolve('www.test', { source: () => ['victim'] });
  // The flood gives way to another client: its last slot in the queue is the one of www.test.
  const other = assert.rejects(all.resolver.resolve('no.test', { source: () => ['other'] }), {
    code: 'ENOTFOUND',
  });
  await assert.rejects(flood.at(-1)!, { code: 'EBUSY' });
  release();
  assert.deepEqual(await texts(victim), ['192.0.2.1']);
  await Promise.all([other, ends]);
});

test('time in the queue counts', async () => {
  let now = 0;
  await using all = await setUp(silent, { family: 'ipv4', timeout: 300 }, { now: () => now });
  const first = Array.from({ length: 256 }, (_, i) => all.resolver.resolve(`n${i}.test`));
  const late = assert.rejects(all.resolver.resolve('last.test'), {
    code: 'ETIMEOUT',
    message: /in the queue/,
  });
  now = 300;
  for (const end of await Promise.allSettled(first)) assert.equal(end.status, 'rejected');
  await late;
  assert.ok(!all.asked().includes('A last.test'));
});
