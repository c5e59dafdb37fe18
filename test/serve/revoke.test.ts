import assert from 'node:assert/strict';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { associate, Datagrams, frame, type Association } from '../support/datagrams.ts';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand, reload, startGarter, type Garter } from '../support/garter.ts';
import { check, until } from '../support/process.ts';
import { Command, connectThrough, RawClient, readAddress, request5 } from '../support/raw.ts';
import { startEcho, type Target } from '../support/targets.ts';
import { descriptors } from '../support/usage.ts';

const USERS = { alice: 'secret-a', bob: 'secret-b' };
const HERE = 'to: [loopback]';

async function login(garter: Garter, name: keyof typeof USERS, target: Target): Promise<RawClient> {
  const client = await startLogin(garter, name);
  client.send(request5(Command.connect, target.host, target.port));
  await client.expect('05 02  01 00  05 00 00');
  await client.read(7);
  return client;
}

async function alive(client: RawClient): Promise<void> {
  client.send(Buffer.from('x'));
  await client.expect(Buffer.from('x'));
}

suite('permission that is withdrawn', () => {
  test('a removed user loses all sessions, and other users keep theirs', async () => {
    await using echo = await startEcho();
    await using garter = await startGarter({ users: USERS, config: `rules: [{ allow: any, ${HERE} }]` });
    using alice = await login(garter, 'alice', echo);
    using second = await login(garter, 'alice', echo);
    using bob = await login(garter, 'bob', echo);
    const file = join(garter.directory, 'users.txt');
    await check([garterCommand, 'user', 'remove', 'alice', '--file', file]);
    await Promise.all([alice.gone(), second.gone()]);
    await alive(bob);
    await garter.record({ user: 'alice', end: 'policy:relay:user-gone' });
    const add = [garterCommand, 'user', 'add', 'alice', '--file', file, '--stdin'];
    await check(add, { input: `${USERS.alice}\n` });
    await until(
      async () => (await garter.log()).filter(({ event }) => event === 'users-reloaded').length === 2,
      () => 'users not reloaded',
    );
    using third = await login(garter, 'alice', echo);
    await alive(third);
  });

  test('a user who leaves a group loses the sessions that the group allowed', async () => {
    await using echo = await startEcho();
    await using garter = await startGarter({
      users: USERS,
      config: `rules: [{ name: staff, allow: any, user: ["@staff", bob], ${HERE} }]`,
    });
    const file = join(garter.directory, 'users.txt');
    const text = await readFile(file, 'utf8');
    await replace(file, text.replace(/^(alice:[^:\n]+)(:?.*)$/m, '$1:staff'));
    await until(
      async () => (await garter.log()).find(({ event }) => event === 'users-reloaded'),
      () => 'users not reloaded',
    );
    using alice = await login(garter, 'alice', echo);
    using bob = await login(garter, 'bob', echo);
    await replace(file, text);
    await alice.gone();
    await alive(bob);
    await garter.record({ user: 'alice', end: 'policy:relay:revoked' });
  });

  test('a damaged users file changes nothing until it is repaired', async () => {
    await using echo = await startEcho();
    await using garter = await startGarter({ users: USERS, config: `rules: [{ allow: any, ${HERE} }]` });
    const file = join(garter.directory, 'users.txt');
    const text = await readFile(file, 'utf8');
    using alice = await login(garter, 'alice', echo);
    await replace(file, 'alice:no-hash\n');
    await until(
      async () => (await garter.log()).find(({ event }) => event === 'users-not-reloaded'),
      () => 'nothing is said of the damage',
    );
    await alive(alice);
    using again = await login(garter, 'bob', echo);
    await replace(file, text.replace(/^alice.*\n/m, ''));
    await alice.gone();
    await alive(again);
  });

  for (const revoke of ['close', 'keep'] as const) {
    test(`revoke: ${revoke}, for a relay, a waiting BIND and an association`, async () => {
      await using echo = await startEcho();
      using target = await Datagrams.bind('127.0.0.1');
      await using garter = await startGarter({
        config: `rules: [{ name: first, allow: any, ${HERE}, revoke: ${revoke} }]`,
      });
      using relay = await connectThrough(garter, echo);
      using bind = await RawClient.connect(garter);
      bind.send('05 01 00', request5(Command.bind, '127.0.0.1', 0));
      await bind.expect('05 00  05 00 00');
      await bind.read(7);
      using association = await associate(garter);
      using client = await Datagrams.bind('127.0.0.1');
      await client.send(frame(target, 'before'), association.relay);
      assert.equal((await target.receive()).data.toString(), 'before');
      await reload(garter, (text) => text.replace('allow: any', 'allow: resolve'));
      if (revoke === 'close') {
        await Promise.all([relay.gone(), bind.gone(), association.control.gone()]);
        await garter.record({ command: 'connect', end: 'policy:relay:revoked' });
        await garter.record({ command: 'bind', end: 'policy:bind:revoked' });
        await garter.record({ command: 'udp', end: 'policy:relay:revoked' });
      } else {
        await alive(relay);
        await delay(50);
        for (const kept of [bind, association.control]) {
          assert.equal(kept.socket.readableEnded, false);
          kept.reset();
        }
      }
    });
  }
});

suite('revoke: keep only protects what its rule allowed', () => {
  const rules = [
    '{ name: kept, allow: [udp, bind], user: ["@staff"], to: [127.0.0.53], revoke: keep }',
    '{ name: other, allow: [udp, bind], user: ["@staff"], to: [127.0.0.80] }',
  ];
  for (const [what, change] of [
    ['a user who is removed', (text: string) => text.replace(/^alice.*\n/m, '')],
    ['a user who leaves a group', (text: string) => text.replace(':staff', '')],
  ] as const) {
    test(`an association of ${what}`, async () => {
      const config = `rules: [${rules.join(', ')}]`;
      await using garter = await startGarter({ users: USERS, config });
      const file = join(garter.directory, 'users.txt');
      const text = (await readFile(file, 'utf8')).replace(/^(alice:[^:\n]+)(:?.*)$/m, '$1:staff');
      await changeUsers(garter, text);
      using kept = await Datagrams.bind('127.0.0.53');
      using another = await Datagrams.bind('127.0.0.53');
      using other = await Datagrams.bind('127.0.0.80');
      using client = await Datagrams.bind('127.0.0.1');
      using association = await associateAs(garter, 'alice');
      using unused = await associateAs(garter, 'alice');
      using waits = await startLogin(garter, 'alice');
      waits.send(request5(Command.bind, '0.0.0.0', 0));
      await waits.expect('05 02  01 00  05 00 00');
      const send = (to: Datagrams, data: string): Promise<void> =>
        client.send(frame(to, data), association.relay);
      const froms: number[] = [];
      for (const to of [kept, other]) {
        await send(to, 'before');
        froms.push((await to.receive()).port);
      }
      await changeUsers(garter, change(text));
      await Promise.all([unused.control.gone(), waits.gone()]);
      for (const to of [other, another, kept]) await send(to, 'after');
      assert.equal((await kept.receive()).data.toString(), 'after');
      await other.send(Buffer.from('unwanted'), { host: '127.0.0.1', port: froms[1]! });
      await kept.send(Buffer.from('wanted'), { host: '127.0.0.1', port: froms[0]! });
      assert.match((await client.receive()).data.toString(), /wanted$/);
      await delay(50);
      assert.deepEqual([other.waiting, another.waiting, client.waiting], [0, 0, 0]);
      // A destination that is allowed again works again.
      await changeUsers(garter, text);
      await send(other, 'again');
      assert.equal((await other.receive()).data.toString(), 'again');
      association.control.end();
      await garter.record({ user: 'alice', rule: 'kept,other', end: 'client:relay' });
    });
  }
});

/** Changes the users file, and waits until the change is in force. */
async function changeUsers(garter: Garter, text: string): Promise<void> {
  const count = async (): Promise<number> =>
    (await garter.log()).filter(({ event }) => event === 'users-reloaded').length;
  const before = await count();
  await replace(join(garter.directory, 'users.txt'), text);
  await until(
    async () => (await count()) > before,
    () => 'users not reloaded',
  );
}

async function startLogin(garter: Garter, name: keyof typeof USERS): Promise<RawClient> {
  const client = await RawClient.connect(garter);
  const [user, password] = [Buffer.from(name), Buffer.from(USERS[name])];
  client.send('05 01 02', Buffer.of(1, user.length), user, Buffer.of(password.length), password);
  return client;
}

async function associateAs(garter: Garter, name: keyof typeof USERS): Promise<Association> {
  const control = await startLogin(garter, name);
  control.send(request5(Command.associate, '0.0.0.0', 0));
  await control.expect('05 02  01 00  05 00 00');
  return { control, relay: await readAddress(control), [Symbol.dispose]: () => control[Symbol.dispose]() };
}

const COLLECTS = `--import=${join(import.meta.dirname, '../support/collects-garbage.ts')}`;

test('100 SIGHUPs per second for 5 s: nothing is lost, and nothing accumulates', async () => {
  await using echo = await startEcho();
  await using directory = await makeDirectory();
  const heapFile = join(directory.path, 'heap');
  // One thread, whose heap is the only one.
  const config = `workers: 1\nrules: [{ allow: any, ${HERE} }]`;
  await using garter = await startGarter({
    users: USERS,
    config,
    env: { NODE_OPTIONS: COLLECTS, TEST_HEAP: heapFile },
  });
  using client = await login(garter, 'alice', echo);
  const { pid } = garter.process;
  const before = await descriptors(pid);
  const storm = async (seconds: number): Promise<void> => {
    for (let i = 0; i < 100 * seconds; i++) {
      garter.process.signal('SIGHUP');
      if (i % 10 === 0) await alive(client);
      await delay(10);
    }
  };
  /** MiB, without garbage. */
  const heap = async (): Promise<number> => {
    await rm(heapFile, { force: true });
    garter.process.signal('SIGWINCH');
    const bytes = await until(
      async () => Number(await readFile(heapFile, 'utf8').catch(() => '')) || undefined,
      () => 'garter does not collect',
    );
    return bytes / 2 ** 20;
  };
  await storm(1);
  const first = await heap();
  await storm(4);
  using newcomer = await login(garter, 'bob', echo);
  await alive(newcomer);
  await alive(client);
  const events = (await garter.log()).map(({ event }) => event);
  assert.ok(events.includes('reloaded'));
  assert.ok(!events.some((event) => event === 'not-reloaded'));
  newcomer.reset();
  await until(
    async () => (await descriptors(pid)) <= before,
    () => 'descriptors are left',
  );
  const last = await heap();
  assert.ok(last - first < 4, `${first} MiB became ${last} MiB`);
});

/** In one step, like an editor or a deployment. */
async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
