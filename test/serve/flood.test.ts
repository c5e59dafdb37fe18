import assert from 'node:assert/strict';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { makeDirectory } from '../support/directory.ts';
import { startGarter, type Garter } from '../support/garter.ts';
import { hashOf } from '../support/hash.ts';
import { start, until } from '../support/process.ts';
import { Command, RawClient, request5 } from '../support/raw.ts';
import { startEcho, type Target } from '../support/targets.ts';

/** The connections that a flood opens per second, and the number of its addresses. */
const PER_SECOND = 1000;
const ADDRESSES = 50;

/**
 * A separate process, so that its work is not part of the measured times. A third of its connections are
 * silent, a third stop in the middle of a greeting, and a third guess passwords; each is held until garter
 * closes it.
 */
const FLOOD = `
  import { connect } from 'node:net';
  const [port, perSecond, addresses] = process.argv.slice(1).map(Number);
  const login = Buffer.concat([Buffer.of(5, 1, 2, 1, 5), Buffer.from('alice'), Buffer.of(6)]);
  let count = 0;
  let closed = 0;
  const one = () => {
    const i = count++;
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.1.' + (1 + (i % addresses)) });
    socket.on('error', () => {}).on('close', () => closed++).resume();
    if (i % 3 === 1) socket.write(Buffer.of(5, 2));
    if (i % 3 === 2) socket.write(Buffer.concat([login, Buffer.from(String(100000 + i))]));
  };
  const began = performance.now();
  setInterval(() => {
    const due = ((performance.now() - began) / 1000) * perSecond;
    while (count < due) one();
  }, 5);
  setTimeout(() => console.log('flooding'), 1000);
  process.on('SIGTERM', () => {
    console.log(count + ' opened, ' + closed + ' closed');
    process.exit(0);
  });
`;

/** Milliseconds until the first answer of the target, for each of several users in sequence, sorted. */
async function times(garter: Garter, target: Target, count: number): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    using client = await RawClient.connect(garter, `127.0.0.${2 + (i % 3)}`);
    client.send('05 01 02', '01 05', Buffer.from('alice'), '06', Buffer.from('secret'));
    client.send(request5(Command.connect, target.host, target.port), Buffer.from('x'));
    await client.expect('05 02  01 00  05 00 00');
    await client.read(7);
    await client.expect(Buffer.from('x'));
    all.push(performance.now() - begun);
  }
  return all.toSorted((a, b) => a - b);
}

test('users are served while strangers flood it from 50 addresses', async (t: TestContext) => {
  await using echo = await startEcho();
  await using garter = await startGarter({
    users: { alice: 'secret' },
    config: 'limits: { unauthenticated: 100:30:200 }\nrules: [{ allow: any, to: [loopback] }]',
  });
  await times(garter, echo, 300);
  const usual = await times(garter, echo, 300);
  await using flood = await start(
    [
      process.execPath,
      '--input-type=module',
      '-e',
      FLOOD,
      ...[garter.port, PER_SECOND, ADDRESSES].map(String),
    ],
    { ready: /flooding/ },
  );
  const flooded = await times(garter, echo, 300);
  flood.signal('SIGTERM');
  await flood.ended();
  t.diagnostic(
    `${middle(usual).toFixed(1)} ms as a rule, ${middle(flooded).toFixed(1)} ms under the flood ` +
      `(the slowest of 100: ${flooded[297]!.toFixed(1)} ms); of the flood ${flood.stdout().trim().split('\n').at(-1)}`,
  );
  assert.equal(flooded.length, 300);
  assert.ok(middle(flooded) < 100 * middle(usual), `${middle(flooded)} ms, without ${middle(usual)} ms`);
  await garter.record({ end: 'limit:greeting:unauthenticated' });
});

function middle(all: readonly number[]): number {
  return all[all.length >> 1]!;
}

/** Guesses from many networks; in each, the next follows as soon as the last was answered. */
const GUESSERS = `
  import { connect } from 'node:net';
  const [port, networks] = process.argv.slice(1).map(Number);
  let count = 0;
  const guess = (i) => {
    const name = Buffer.from('u' + count++);
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.' + i + '.0.9' });
    socket.on('error', () => {}).on('close', () => setTimeout(guess, 50, i)).resume();
    socket.write(Buffer.concat([Buffer.of(5, 1, 2, 1, name.length), name, Buffer.of(1, 120)]));
  };
  for (let i = 1; i <= networks; i++) guess(i);
  setTimeout(() => console.log('flooding'), 500);
`;

/** Whether a user can log in from this address, with a number of tries. */
async function getsIn(garter: Garter, user: string, from: string, tries = 1): Promise<boolean> {
  if (await logsIn(garter, user, from).catch(() => false)) return true;
  if (tries === 1) return false;
  await delay(1500);
  return getsIn(garter, user, from, tries - 1);
}

async function logsIn(garter: Garter, user: string, from: string): Promise<boolean> {
  using client = await RawClient.connect(garter, from);
  const name = Buffer.from(user);
  client.send('05 01 02', Buffer.of(1, name.length), name, '06', Buffer.from('secret'));
  await client.expect('05 02  01');
  const [status] = await client.read(1);
  return status === 0;
}

test('users can log in while 100 networks guess passwords: from new addresses, and from known ones', async (t: TestContext) => {
  await using directory = await makeDirectory();
  const file = join(directory.path, 'users.txt');
  const known = Array.from({ length: 10 }, (_, i) => ({ user: `known${i}`, from: `127.${210 + i}.0.1` }));
  const others = Array.from({ length: 10 }, (_, i) => ({ user: `new${i}`, from: `127.${230 + i}.0.1` }));
  const hash = hashOf(19_456, 1);
  await writeFile(file, [...known, ...others].map(({ user }) => `${user}:${hash}\n`).join(''), {
    mode: 0o600,
  });
  await using garter = await startGarter({
    config: `users: { file: ${file} }\ntimeouts: { handshake: 60s }`,
  });
  const logIn = async (users: typeof known, tries = 1): Promise<number> => {
    const all = await Promise.all(users.map(({ user, from }) => getsIn(garter, user, from, tries)));
    return all.filter(Boolean).length;
  };
  assert.equal(await logIn(known), 10);
  // That clears the results of comparisons, which must be repeated.
  await appendFile(file, '# changed\n');
  await until(
    async () => (await garter.log()).find(({ event }) => event === 'users-reloaded'),
    () => 'the users were not reloaded',
  );
  await using flood = await start(
    [process.execPath, '--input-type=module', '-e', GUESSERS, ...[garter.port, 100].map(String)],
    { ready: /flooding/ },
  );
  const [before, after] = await Promise.all([logIn(known), logIn(others, 8)]);
  flood.signal('SIGTERM');
  await flood.ended();
  t.diagnostic(`${before} of 10 from known addresses, ${after} of 10 from new ones`);
  const busy = (await garter.log()).filter(({ reason }) => reason === 'busy').length;
  assert.ok(busy > 100, `${busy} were refused for want of room: that is no flood`);
  assert.ok(before >= 9, `${before} of 10 from known addresses`);
  assert.ok(after >= 5, `${after} of 10 from new addresses`);
});
