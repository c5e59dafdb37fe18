import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { makeDirectory } from '../support/directory.ts';
import { type Garter, reload, startGarter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { Command, connectThrough, RawClient, request5 } from '../support/raw.ts';
import { startEcho, type Target } from '../support/targets.ts';

const LOOPBACK = 'to: [loopback]';

/** The reply to a CONNECT from a loopback address. */
async function ask(garter: Garter, target: Target, from?: string): Promise<readonly [RawClient, number]> {
  const client = await RawClient.connect(garter, from);
  client.send('05 01 00', request5(Command.connect, target.host, target.port));
  await client.expect('05 00');
  const [, code] = await client.read(10);
  return [client, code!];
}

suite('bandwidth', () => {
  test('per session, each direction separately; per rule, all sessions together', async () => {
    await using echo = await startEcho();
    await using other = await startEcho();
    await using garter = await startGarter({
      config: `
rules:
  - { name: slow, allow: any, ${LOOPBACK}, port: ${echo.port}, limit: { bandwidth: 3MB/s, bandwidth-per-session: 2MB/s } }
  - { name: slower, allow: any, ${LOOPBACK}, limit: { bandwidth-per-session: 500kB/s } }`,
    });
    const size = 2_000_000;
    const timed = async (): Promise<number> => {
      using client = await connectThrough(garter, echo);
      const start = performance.now();
      client.send(Buffer.alloc(size, 'x'));
      assert.equal((await client.read(size)).length, size);
      return performance.now() - start;
    };
    using slower = await connectThrough(garter, other);
    slower.send(Buffer.alloc(size, 'x'));
    const alone = await timed();
    const meanwhile = slower.socket.bytesRead / size;
    assert.ok(meanwhile > 0.05 && meanwhile < 0.75, `with a quarter of the rate ${meanwhile} has come`);
    slower.reset();
    // A tenth of a second is free at the start, and the last chunk does not wait.
    assert.ok(size / alone < 1.25 * 2000, `${alone} ms`);
    const start = performance.now();
    await Promise.all([timed(), timed(), timed()]);
    const together = performance.now() - start;
    assert.ok((3 * size) / together < 1.2 * 3000 && together < 6 * alone, `${together} ms, ${alone} alone`);
  });

  test('excess datagrams are dropped, and the association continues', async () => {
    using target = await Datagrams.bind('127.0.0.1');
    await using garter = await startGarter({
      config: `rules: [{ name: slow, allow: any, ${LOOPBACK}, limit: { bandwidth-per-session: 10kB/s } }]`,
    });
    using association = await associate(garter);
    using client = await Datagrams.bind('127.0.0.1');
    const send = (data: Uint8Array): Promise<void> => client.send(frame(target, data), association.relay);
    const start = performance.now();
    for (let i = 0; i < 100; i++) await send(Buffer.alloc(1000));
    await target.receive();
    await delay(300);
    // Ten per second, with an allowance for catching up.
    const most = 10 + (performance.now() - start) / 100;
    assert.ok(target.waiting < most, `${target.waiting} more datagrams came`);
    while (target.waiting > 0) await target.receive();
    await send(Buffer.from('later'));
    assert.equal((await target.receive()).data.toString(), 'later');
    association.control.end();
    await until(
      async () => (await garter.log()).find((line) => line.event === 'association' && line.bandwidth! > 50),
      () => 'they were not counted',
    );
  });
});

suite('a quota', () => {
  test('ends the session that exceeds it, refuses the next, and survives a restart; other users have their own', async () => {
    await using echo = await startEcho();
    const users = { alice: 'secret-a', bob: 'secret-b' };
    const listener = ['methods: [password]'];
    let state: string;
    {
      await using garter = await startGarter({ config: config('garter.state'), users, listener });
      using alice = await login(garter, 'alice', users.alice, echo);
      alice.send(Buffer.alloc(600_000));
      await alice.gone();
      await garter.record({ user: 'alice', end: 'limit:relay:quota-per-user' });
      assert.equal(await refusal(garter, 'alice', users.alice, echo), 2);
      await garter.record({ user: 'alice', end: 'limit:request:quota-per-user' });
      using bob = await login(garter, 'bob', users.bob, echo);
      bob.send(Buffer.from('x'));
      await bob.expect(Buffer.from('x'));
      const file = join(garter.directory, 'garter.state');
      garter.process.signal('SIGTERM');
      bob.reset();
      await garter.process.ended();
      state = await readFile(file, 'utf8');
    }
    const { quotas } = JSON.parse(state) as { quotas: { some: Record<string, number> } };
    assert.ok(quotas.some['alice']! > 1_000_000, state);
    assert.ok(quotas.some['bob']! < 10, state);
    await using directory = await kept(state);
    await using again = await startGarter({ config: config(directory.file), users, listener });
    assert.equal(await refusal(again, 'alice', users.alice, echo), 2);
    using bob = await login(again, 'bob', users.bob, echo);
    bob.send(Buffer.from('x'));
    await bob.expect(Buffer.from('x'));
  });

  test('a damaged state file is reported, and quotas start from zero', async () => {
    await using echo = await startEcho();
    await using directory = await kept('{"day":"2026-11-2');
    await using garter = await startGarter({ config: config(directory.file) });
    const [client, code] = await ask(garter, echo);
    client.reset();
    assert.equal(code, 0);
    await until(
      async () =>
        (await garter.log()).some(({ level, event }) => level === 'error' && event === 'quotas-lost'),
      () => 'nothing is logged of a damaged state file',
    );
  });
});

suite('limits on connections', () => {
  test('in total and per address: closed at once, recorded, and available again when a client leaves', async () => {
    await using echo = await startEcho();
    await using garter = await startGarter({ config: 'limits: { connections: 3, per-address: 2 }' });
    using first = await connectThrough(garter, echo);
    using second = await connectThrough(garter, echo);
    using third = await RawClient.connect(garter);
    await third.gone();
    await garter.record({ end: 'limit:accept:per-address' });
    const [other, code] = await ask(garter, echo, '127.0.0.2');
    assert.equal(code, 0);
    using fourth = await RawClient.connect(garter, '127.0.0.3');
    await fourth.gone();
    await garter.record({ end: 'limit:accept:connections' });
    second.reset();
    await garter.record({ client: `127.0.0.1:${second.localPort}` });
    using next = await connectThrough(garter, echo);
    for (const client of [first, next]) {
      client.send(Buffer.from('x'));
      await client.expect(Buffer.from('x'));
    }
    other.reset();
  });

  test('a reload changes them', async () => {
    await using echo = await startEcho();
    await using garter = await startGarter({ config: 'limits: { connections: 1 }' });
    using first = await connectThrough(garter, echo);
    using refused = await RawClient.connect(garter);
    await refused.gone();
    await reload(garter, (text) => text.replace('connections: 1', 'connections: 2'));
    using second = await connectThrough(garter, echo);
    for (const client of [first, second]) {
      client.send(Buffer.from('x'));
      await client.expect(Buffer.from('x'));
    }
  });
});

async function login(garter: Garter, name: string, password: string, target: Target): Promise<RawClient> {
  const [client, code] = await loginReply(garter, name, password, target);
  assert.equal(code, 0);
  return client;
}

async function refusal(garter: Garter, name: string, password: string, target: Target): Promise<number> {
  const [client, code] = await loginReply(garter, name, password, target);
  client.reset();
  return code;
}

async function loginReply(
  garter: Garter,
  name: string,
  password: string,
  target: Target,
): Promise<readonly [RawClient, number]> {
  const client = await RawClient.connect(garter);
  const [user, secret] = [Buffer.from(name), Buffer.from(password)];
  client.send('05 01 02', Buffer.of(1, user.length), user, Buffer.of(secret.length), secret);
  client.send(request5(Command.connect, target.host, target.port));
  await client.expect('05 02  01 00');
  const [, code] = await client.read(10);
  return [client, code!];
}

/** A state file of an earlier run. */
async function kept(state: string): Promise<AsyncDisposable & { readonly file: string }> {
  const directory = await makeDirectory();
  const file = join(directory.path, 'garter.state');
  await writeFile(file, state);
  return { file, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

function config(state: string): string {
  return `state: ${state}\nrules: [{ name: some, allow: any, ${LOOPBACK}, limit: { quota-per-user: 1MB/day } }]`;
}
