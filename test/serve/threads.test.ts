import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { makeDirectory } from '../support/directory.ts';
import { startGarter } from '../support/garter.ts';
import type { Garter, GarterOptions } from '../support/garter.ts';
import { hashOf } from '../support/hash.ts';
import { until } from '../support/process.ts';
import { Command, connectThrough, parseHex, RawClient, request5 } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';
import type { Target } from '../support/targets.ts';
import { descriptors } from '../support/usage.ts';

/** Only the fast engine has threads, whichever engine the tests use. */
function startThreads({ config = '', env = {}, ...options }: GarterOptions = {}): Promise<Garter> {
  return startGarter({
    ...options,
    config: `engine: fast\nworkers: 2\n${config}`,
    env: { GARTER_ENGINE: '', ...env },
  });
}

const FAULTY = `--import=${join(import.meta.dirname, '../support/faulty-threads.ts')}`;

/** The file is complete when it appears, as a thread takes it at once. */
async function order(fault: string, what: 'throw' | 'hang'): Promise<void> {
  await writeFile(`${fault}.new`, what);
  await rename(`${fault}.new`, fault);
}

/** The thread in the id of a session. */
function threadOf(id: string): string {
  return id.split('-')[1]!;
}

/**
 * Opens this many sessions with an answer from the target; not all at once, which can be too fast for the
 * second thread.
 */
async function open(garter: Garter, echo: Target, count: number): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  while (clients.length < count)
    clients.push(...(await Promise.all(Array.from({ length: 10 }, () => connectThrough(garter, echo)))));
  return clients;
}

/** Rules for the echo server. */
function rules(allowed: 'allow' | 'deny'): string {
  return `rules:
  - { name: other, allow: any, to: [loopback], port: [1] }
  - { name: echo, ${allowed}: any, to: [loopback] }`;
}

suite('two threads', () => {
  test('share connections, and write one log', async () => {
    await using garter = await startThreads();
    await using echo = await startEcho();
    const clients = await open(garter, echo, 200);
    for (const client of clients) client[Symbol.dispose]();
    const records = await until(
      async () => {
        const all = await garter.records();
        return all.length < 200 ? undefined : all;
      },
      () => 'records are missing',
    );
    assert.equal(new Set(records.map(({ id }) => id)).size, 200);
    const shares = Object.groupBy(records, ({ id }) => threadOf(id));
    assert.equal(Object.keys(shares).length, 2, 'one thread took all');
  });

  test('count sessions together', async () => {
    const config = `rules:
  - { name: few, allow: any, to: [loopback], port: [1-65535], limit: { sessions: 20 } }`;
    await using garter = await startThreads({ config });
    await using echo = await startEcho();
    const clients = await Promise.allSettled(Array.from({ length: 60 }, () => connectThrough(garter, echo)));
    const served = clients.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    assert.equal(served.length, 20);
    for (const client of served) client[Symbol.dispose]();
    await until(
      async () => (await garter.records()).length === 60,
      () => 'records are missing',
    );
    for (const client of await open(garter, echo, 20)) client[Symbol.dispose]();
  });

  test('share one list of users, and count guesses and quotas together', async () => {
    const config = `state: garter.state
rules: [{ name: some, allow: any, to: [loopback], limit: { quota-per-user: 1KB/day } }]`;
    const listener = ['methods: [password]'];
    await using garter = await startThreads({ config, listener, users: { alice: 'right', bob: 'right' } });
    await using echo = await startEcho();
    const logIn = async (user: string, password: string): Promise<RawClient> => {
      const client = await RawClient.connect(garter);
      client.send('05 01 02', '01', Buffer.of(user.length), Buffer.from(user));
      client.send(Buffer.of(password.length), Buffer.from(password));
      return client;
    };
    /** The reply code. */
    const ask = async (client: RawClient): Promise<number> => {
      await client.expect('05 02 01 00');
      client.send(request5(Command.connect, echo.host, echo.port));
      return (await client.read(10))[1]!;
    };
    for (let i = 0; i < 5; i++) {
      using client = await logIn('alice', 'right');
      assert.equal(await ask(client), 0);
      client.send(Buffer.alloc(100));
      await client.read(100);
    }
    await until(
      async () => {
        using client = await logIn('alice', 'right');
        return (await ask(client)) === 2;
      },
      () => 'the quota is not used up',
    );
    for (let i = 0; i < 10; i++) {
      using client = await logIn('bob', `wrong ${i}`);
      await client.expect('05 02 01 01');
    }
    const log = await until(
      async () => {
        const lines = (await garter.log()).filter(({ event }) => event === 'login-failed');
        return lines.length < 10 ? undefined : lines;
      },
      () => 'failures are missing',
    );
    assert.ok(log.filter(({ reason }) => reason === 'wrong').length <= 6, 'a thread counts by itself');
  });

  test('share changes of users: removed users lose their sessions, and only those', async () => {
    await using garter = await startThreads({
      config: 'rules: [{ allow: any, user: ["@staff"], to: [loopback] }]',
      listener: ['methods: [password]'],
      users: { first: 'first' },
    });
    await using echo = await startEcho();
    // More than fit into one message.
    const names = Array.from({ length: 300 }, (_, i) => `user${i}`);
    const hash = hashOf(64, 1);
    const write = async (users: readonly string[], group: (name: string) => string): Promise<void> => {
      const file = join(garter.directory, 'users.txt');
      const loaded = async (): Promise<number> =>
        (await garter.log()).filter(({ event }) => event === 'users-reloaded').length;
      const before = await loaded();
      const lines = users.map((name) => `${name}:${hash}:${group(name)}\n`);
      await writeFile(`${file}.new`, lines.join(''), { mode: 0o600 });
      await rename(`${file}.new`, file);
      await until(
        async () => ((await loaded()) > before ? true : undefined),
        () => 'users not reloaded',
      );
    };
    await write(names, () => 'staff');
    const clients = new Map<string, RawClient>();
    for (const name of names) {
      const client = await RawClient.connect(garter);
      client.send('05 01 02', '01', Buffer.of(name.length), Buffer.from(name));
      client.send('06', Buffer.from('secret'), request5(Command.connect, echo.host, echo.port));
      await client.expect('05 02 01 00 05 00 00');
      await client.read(7);
      clients.set(name, client);
    }
    const [gone, moved] = [new Set(names.slice(0, 20)), new Set(names.slice(-20))];
    await write(
      names.filter((name) => !gone.has(name)),
      (name) => (moved.has(name) ? '' : 'staff'),
    );
    for (const [name, client] of clients) {
      if (gone.has(name) || moved.has(name)) {
        await client.gone();
      } else {
        client.send('aa');
        await client.expect('aa');
      }
      client[Symbol.dispose]();
    }
    const records = await until(
      async () => {
        const all = await garter.records();
        return all.length < names.length ? undefined : all;
      },
      () => 'records are missing',
    );
    const threads = Object.groupBy(records, ({ id }) => threadOf(id));
    assert.equal(Object.keys(threads).length, 2, 'one thread took all');
    const count = (end: string): number => records.filter((record) => record.end === end).length;
    assert.deepEqual([count('policy:relay:user-gone'), count('policy:relay:revoked')], [20, 20]);
  });

  const FORTY = /"event":"sessions","message":"open sessions","open":40\}\n$/;

  test('SIGUSR2, a reload and the end apply to both', async () => {
    await using garter = await startThreads({ config: rules('allow'), complaint: FORTY });
    await using echo = await startEcho();
    const clients = await open(garter, echo, 40);
    garter.process.signal('SIGUSR2');
    await until(
      () => FORTY.test(garter.process.stderr()),
      () => garter.process.stderr(),
    );
    const file = join(garter.directory, 'garter.yaml');
    await writeFile(file, (await readFile(file, 'utf8')).replace(rules('allow'), rules('deny')));
    garter.process.signal('SIGHUP');
    await Promise.all(clients.map((client) => client.gone()));
    await assert.rejects(connectThrough(garter, echo));
    for (const client of clients) client[Symbol.dispose]();
  });
});

test("garter's own port is only protected at its own address, in every thread", async () => {
  await using garter = await startThreads();
  await using server = createServer((socket) => socket.pipe(socket)).listen(garter.port, '127.0.0.2');
  await once(server, 'listening');
  const other = { host: '127.0.0.2', port: garter.port };
  for (let i = 0; i < 8; i++) {
    using client = await connectThrough(garter, other);
    client.send('aa');
    await client.expect('aa');
    await assert.rejects(connectThrough(garter, { host: garter.host, port: garter.port }));
  }
});

/** Connects repeatedly; returns the numbers of connections that were served and not served. */
async function load(
  garter: Garter,
  echo: Target,
  signal: AbortSignal,
): Promise<{ served: number; failed: number }> {
  const result = { served: 0, failed: 0 };
  const lane = async (): Promise<void> => {
    while (!signal.aborted) {
      const socket = connect({ host: garter.host, port: garter.port });
      if (await answers(socket, echo)) result.served++;
      else result.failed++;
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  return result;
}

async function answers(socket: Socket, echo: Target): Promise<boolean> {
  socket.write(
    Buffer.concat([parseHex('05 01 00'), request5(Command.connect, echo.host, echo.port), Buffer.from('x')]),
  );
  let received = 0;
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      received += chunk.length;
      if (received === 13) return true;
    }
  } catch {
    // Cut off: not an answer.
  }
  return false;
}

/** Whether it still gets an echo; otherwise it must be closed, not hang. */
async function isAlive(client: RawClient): Promise<boolean> {
  client.send('aa');
  try {
    await client.expect('aa');
    return true;
  } catch (error) {
    assert.doesNotMatch(String(error), /too long/);
    return false;
  }
}

suite('a thread that throws', () => {
  test('loses its connections; the others continue, and newcomers are served', async (t: TestContext) => {
    await using directory = await makeDirectory();
    const fault = join(directory.path, 'fault');
    await using garter = await startThreads({
      // No time-out must end them during the test.
      config: 'timeouts: { drain: 10m, idle: 10m }',
      env: { NODE_OPTIONS: FAULTY, TEST_FAULT: fault },
    });
    await using echo = await startEcho();
    const clients = await open(garter, echo, 100);
    const stop = new AbortController();
    using _ = { [Symbol.dispose]: () => stop.abort() };
    const loading = load(garter, echo, stop.signal);
    await delay(500);
    const before = await descriptors(garter.process.pid);
    await order(fault, 'throw');
    await until(
      async () => (await garter.log()).some(({ event }) => event === 'thread-died'),
      () => 'its death is not in the log',
    );
    const answered = await Promise.all(clients.map(isAlive));
    const alive = clients.filter((__, i) => answered[i]);
    const gone = clients.length - alive.length;
    assert.ok(gone > 0 && gone < 100, `${gone} of 100 ended`);
    stop.abort();
    const { served, failed } = await loading;
    t.diagnostic(`${gone} of 100 ended; ${served} served, ${failed} not`);
    // Those that the thread was just handling.
    assert.ok(failed <= 8, `${failed} were not served`);
    const dead = (await garter.records()).filter(({ end }) => end === 'internal:relay:thread');
    assert.ok(dead.length >= gone, `${dead.length} records`);
    for (const client of alive) client[Symbol.dispose]();
    assert.ok((await descriptors(garter.process.pid)) < before);
  });
});

test('a thread that throws releases its share of the limits, even for clients still reading their refusal', async () => {
  await using directory = await makeDirectory();
  const fault = join(directory.path, 'fault');
  await using garter = await startThreads({
    config: 'limits: { connections: 20 }\nrules: [{ name: none, deny: any, to: [any] }]',
    complaint: /^[^\n]*: warning: no rule allows anything: every request is refused\n/,
    env: { NODE_OPTIONS: FAULTY, TEST_FAULT: fault },
  });
  /** The number of clients accepted out of 25 at once. */
  const possible = async (): Promise<number> => {
    const asked = Array.from({ length: 25 }, async () => {
      // A refusal can arrive before the event that reports the connection.
      const client = await RawClient.connect(garter).catch(unlessReset);
      client?.send('05 01 00');
      return client?.read(2).then(
        () => client,
        () => undefined,
      );
    });
    const clients = (await Promise.all(asked)).filter((client) => client !== undefined);
    for (const client of clients) client.reset();
    return clients.length;
  };
  assert.equal(await possible(), 20);
  await until(
    async () => (await garter.records()).length === 25,
    () => 'records are missing',
  );
  const refused = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const client = await RawClient.connect(garter);
      client.send('05 01 00', request5(Command.connect, '127.0.0.1', 1));
      await client.expect('05 00 05 02 00 01 00 00 00 00 00 00');
      return client;
    }),
  );
  await order(fault, 'throw');
  await Promise.any(refused.map((client) => client.gone()));
  for (const client of refused) client.reset();
  await until(
    async () => (await possible()) === 20,
    () => 'it counts connections of a thread that is dead',
  );
});

test('a thread that hangs is reported to balancers, and does not delay the end', async () => {
  await using directory = await makeDirectory();
  const fault = join(directory.path, 'fault');
  await using garter = await startThreads({
    config: 'health: 127.0.0.1:0',
    env: { NODE_OPTIONS: FAULTY, TEST_FAULT: fault },
  });
  const [, port] = await until(
    () => /readyz on \S+:(\d+)/.exec(garter.process.stdout()) ?? undefined,
    () => garter.process.stdout(),
  );
  await order(fault, 'hang');
  const text = await until(
    async () => {
      const answer = await (await fetch(`http://127.0.0.1:${port}/readyz`)).text();
      return answer === 'ready\n' ? undefined : answer;
    },
    () => 'no fault is told',
  );
  assert.match(text, /^ready\nthread \d does not respond\n$/);
});

function unlessReset(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ECONNRESET') throw error;
}
