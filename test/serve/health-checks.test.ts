import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { type Garter, OPEN, reload, startGarter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { connectThrough } from '../support/raw.ts';
import { at, closedPort, startEcho, startTarget, type Target } from '../support/targets.ts';

/** A server that answers SOCKS5 greetings, and records what it receives. */
interface Greeted extends Target {
  readonly from: string[];
  readonly heard: string[];
  /** The largest number of concurrent connections. */
  readonly most: number;
  mood: 'well' | 'closes' | 'silent';
}

async function startGreeted(): Promise<Greeted> {
  const open = new Set<Socket>();
  let most = 0;
  const target = await startTarget((socket) => {
    open.add(socket);
    void (async () => {
      // The event of an earlier close can follow in this turn of the event loop, or in the next one.
      await nextTurn();
      await nextTurn();
      most = Math.max(most, open.size);
    })();
    let heard = '';
    greeted.from.push(socket.remoteAddress!);
    if (greeted.mood === 'closes') socket.end();
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('hex');
      if (greeted.mood === 'well' && heard === '050100') socket.write(Buffer.of(5, 0));
    });
    socket.on('end', () => {
      open.delete(socket);
      socket.end();
    });
    socket.on('close', () => {
      open.delete(socket);
      greeted.heard.push(heard);
    });
  });
  const greeted: Greeted = {
    ...target,
    from: [],
    heard: [],
    get most() {
      return most;
    },
    mood: 'well',
    [Symbol.asyncDispose]: () => target[Symbol.asyncDispose](),
  };
  return greeted;
}

/** A garter that uses these servers. */
function near(servers: readonly string[], health: string): Promise<Garter> {
  return startGarter({
    config: `
${OPEN}
routes: [{ to: [any], via: both }]
upstreams:
  both: { servers: [${servers.map((server) => `"${server}"`).join(', ')}], health: { ${health} } }
timeouts: { connect: 5s }`,
    env: { WRONG: 'wrong' },
  });
}

/** The entries of the log about upstreams that went up or down. */
async function changes(garter: Garter): Promise<readonly object[]> {
  return (await garter.log()).filter(({ event }) => event.startsWith('upstream-'));
}

/** Waits for the change with this number. */
async function change(garter: Garter, number: number): Promise<object> {
  return until(
    async () => (await changes(garter))[number],
    () => 'no upstream goes up or down',
  );
}

function checked(server: Greeted, times: number): Promise<boolean> {
  return until(
    () => server.heard.length >= times,
    () => `${server.heard.length} checks, not ${times}`,
  );
}

suite('health checks', () => {
  const resources = new AsyncDisposableStack();
  let echo: Target;
  let far: Garter;
  before(async () => {
    echo = resources.use(await startEcho());
    far = resources.use(await startGarter({ config: 'rules: [{ name: open, allow: any, to: [loopback] }]' }));
  });
  after(() => resources.disposeAsync());

  test('sends a greeting and no request; down after failures in a row, up after successes', async () => {
    await using server = await startGreeted();
    await using garter = await near(
      [`socks5h://${at(server)}`, `socks5h://${at(far)}`],
      'every: 50ms, fail: 2, recover: 3',
    );
    await checked(server, 5);
    assert.deepEqual(new Set(server.heard), new Set(['050100']));
    server.mood = 'closes';
    assert.partialDeepStrictEqual(await change(garter, 0), {
      level: 'warn',
      event: 'upstream-down',
      upstream: `socks5h://${at(server)}`,
      why: 'closed',
    });
    const count = server.heard.length;
    await using later = await startEcho();
    {
      using client = await connectThrough(garter, later);
      client.end();
      await client.rest();
    }
    await garter.record({ destination: at(later), route: `both/${at(far)}` });
    await checked(server, count + 2);
    server.mood = 'well';
    assert.partialDeepStrictEqual(await change(garter, 1), {
      level: 'info',
      event: 'upstream-up',
      upstream: `socks5h://${at(server)}`,
    });
    assert.ok(server.heard.slice(-3).every((heard) => heard === '050100'));
  });

  test('a silent server does not delay the checks of others', async () => {
    await using silent = await startGreeted();
    silent.mood = 'silent';
    await using server = await startGreeted();
    await using garter = await near([`socks5h://${at(silent)}`, `socks5h://${at(server)}`], 'every: 20ms');
    await checked(server, 5);
    assert.deepEqual(await changes(garter), [], 'the silent one still has time');
  });

  test('a server that takes too long is down, and is never checked twice at the same time', async () => {
    await using server = await startGreeted();
    server.mood = 'silent';
    await using garter = await near([`socks5h://${at(server)}`], 'every: 20ms');
    assert.partialDeepStrictEqual(await change(garter, 0), { event: 'upstream-down', why: 'ETIMEDOUT' });
    assert.equal(server.most, 1);
  });

  for (const [scheme, answer] of [
    ['http', 'HTTP/1.1 403 Forbidden\r\n\r\n'],
    ['socks4', Buffer.from([0, 91, 0, 0, 0, 0, 0, 0])],
  ] as const) {
    test(`${scheme}, which begins with the request: any reply is good, silence is not`, async () => {
      let isSilent = false;
      let answered = 0;
      await using server = await startTarget((socket) => {
        socket.on('data', () => {
          if (isSilent) return;
          answered++;
          socket.write(answer);
        });
      });
      await using garter = await near([`${scheme}://${at(server)}`], 'every: 50ms');
      await until(
        () => answered >= 3,
        () => `${answered} checks`,
      );
      assert.deepEqual(await changes(garter), []);
      isSilent = true;
      assert.partialDeepStrictEqual(await change(garter, 0), { event: 'upstream-down', why: 'ETIMEDOUT' });
    });
  }

  test('with a destination, it must be reachable', async () => {
    const servers = [`socks5h://${at(far)}`];
    const closed = `127.0.0.1:${await closedPort()}`;
    await using bad = await near(servers, `every: 50ms, connect: "${closed}"`);
    assert.partialDeepStrictEqual(await change(bad, 0), { event: 'upstream-down', why: 'reply-5' });
    await using good = await near(servers, `every: 50ms, connect: "${at(echo)}"`);
    for (let i = 0; i < 3; i++) await far.record({ destination: at(echo) });
    assert.deepEqual(await changes(good), []);
  });

  test('a wrong password is a failure', async () => {
    await using locked = await startGarter({ users: { alice: 's3cret' } });
    await using garter = await near([`socks5h://alice:\${WRONG}@${at(locked)}`], 'every: 50ms');
    assert.partialDeepStrictEqual(await change(garter, 0), { event: 'upstream-down', why: 'password' });
    await locked.record({ end: 'policy:auth:wrong' });
  });

  test('where clients log in themselves, a server that requires a login is healthy', async () => {
    await using locked = await startGarter({ users: { alice: 's3cret' } });
    await using garter = await startGarter({
      config: `
${OPEN}
routes: [{ to: [any], via: locked }]
upstreams:
  locked: { servers: [{ url: "socks5h://${at(locked)}", credentials: client }], health: { every: 50ms } }`,
    });
    for (let i = 0; i < 3; i++) await locked.record({ end: 'policy:greeting:no-method' });
    assert.deepEqual(await changes(garter), []);
  });

  test('pass through the earlier servers of a chain, and use the egress of the route', async () => {
    await using server = await startGreeted();
    await using garter = await startGarter({
      config: `
${OPEN}
routes:
  - { to: [any], port: [1], via: long }
  - { to: [any], via: last, egress: 127.0.0.9 }
upstreams:
  last: { servers: ["socks5h://${at(server)}"], health: { every: 50ms } }
  long: { chain: ["socks5h://${at(far)}", last] }`,
    });
    await far.record({ destination: at(server) });
    await until(
      () => server.from.includes('127.0.0.9') && server.from.includes('127.0.0.1'),
      () => server.from.join(),
    );
    assert.equal(garter.process.stderr(), '');
  });

  test('servers without a route are not checked, nor any after a reload that disables checks', async () => {
    await using server = await startGreeted();
    await using idle = await startGreeted();
    await using garter = await startGarter({
      config: `
routes: [{ to: [any], via: used }]
upstreams:
  used: { servers: ["socks5h://${at(server)}"], health: { every: 50ms } }
  idle: { servers: ["socks5h://${at(idle)}"], health: { every: 50ms } }`,
      complaint: /^[^\n]*: warning: no route leads to this upstream\n/,
    });
    await checked(server, 3);
    await reload(garter, (text) => text.replace('health: { every: 50ms }', 'tries: 1'));
    const count = server.from.length;
    await delay(500);
    assert.ok(server.from.length <= count + 1, 'one may have been under way');
    assert.equal(idle.from.length, 0);
  });
});
